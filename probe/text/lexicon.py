"""The words of an experiment: occupations with labour-market shares, gendered pairs, templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.parsing import parse_toml

DEFAULT = Path(__file__).parent.parent / "data" / "lexicon.toml"
"""The lexicon that is shipped with the package."""


@dataclass(frozen=True)
class Occupation:
    """A person's job and the share of women who hold it."""

    name: str
    """Singular, without an article."""
    share_women: float
    """Women's share of the people in this job, from 0 to 1."""
    held_out: bool
    """True if no training may see it: it measures what carries over to unseen jobs."""
    source: str
    """Where the share comes from."""


@dataclass(frozen=True)
class Pair:
    """Two words that are equal but for gender."""

    male: str
    female: str


@dataclass(frozen=True)
class Lexicon:
    """Everything that prompts are built from.

    In a template, ``a {slot}`` (or ``an {slot}``) takes the article that its word needs. Slots
    are ``{subject}`` and, in explicit templates, one of ``{person}`` and ``{adjective}``.
    """

    occupations: tuple[Occupation, ...]
    pairs: tuple[Pair, ...]
    """Nouns for ``{person}``."""
    neutral_templates: tuple[str, ...]
    """Say nothing of gender; used for occupations and for objects."""
    explicit_templates: tuple[str, ...]
    """Say the gender, by a noun or by an adjective."""
    adjectives: tuple[Pair, ...]
    """Words for ``{adjective}``."""
    objects: tuple[str, ...]
    """Subjects that are no person: a correction must leave them alone."""

    @classmethod
    def load(cls, path: Path | None = None) -> Lexicon:
        """Read and check a lexicon; the shipped one if no path is given.

        Raises
        ------
        DataError
            If the file is missing, is not TOML, or an entry is not what it must be; the message
            names the file, the entry, the value and what was needed.
        """
        path = DEFAULT if path is None else Path(path)
        data = _Reader(path, _parse(path))
        templates = _Reader(path, data.table("templates"), "templates")
        gendered = ({"subject", "person"}, {"subject", "adjective"})
        lexicon = cls(
            occupations=tuple(map(data.occupation, data.tables("occupation"))),
            pairs=tuple(data.pair(entry, "pair") for entry in data.tables("pair")),
            neutral_templates=templates.strings("neutral", slots=({"subject"},)),
            explicit_templates=templates.strings("explicit", slots=gendered),
            adjectives=tuple(data.pair(entry, "adjective") for entry in data.tables("adjective")),
            objects=data.strings("objects"),
        )
        data.distinct("occupation", (job.name for job in lexicon.occupations))
        data.distinct("object", (*(job.name for job in lexicon.occupations), *lexicon.objects))
        return lexicon


def _parse(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"lexicon {path} cannot be read: {error.strerror}; give another") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"lexicon {path} is not TOML ({error}); correct the file") from error


class _Reader:
    """Take values out of a table of the file, or say exactly which one is wrong."""

    def __init__(self, path: Path, table: Mapping[str, Any], name: str = "") -> None:
        self._path, self._table, self._prefix = path, table, f"{name}." if name else ""

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._table.get(key)
        if not isinstance(value, dict):
            raise self._wrong(f"[{key}]", value, "a table")
        return value

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._table.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            raise self._wrong(f"[[{key}]]", value, "at least one entry")
        return value

    def strings(self, key: str, *, slots: tuple[set[str], ...] = ()) -> tuple[str, ...]:
        value = self._table.get(key)
        if not isinstance(value, list) or not value:
            raise self._wrong(f"{self._prefix}{key}", value, "a list of strings")
        for item in value:
            self._text(f"{self._prefix}{key}", item)
            if slots and set(re.findall(r"\{(.*?)\}", item)) not in slots:
                needed = " or ".join(
                    " and ".join(f"{{{slot}}}" for slot in sorted(choice)) for choice in slots
                )
                raise self._wrong(f"{self._prefix}{key}", item, f"exactly the slots {needed}")
        self.distinct(f"{self._prefix}{key}", value)
        return tuple(value)

    def occupation(self, entry: Mapping[str, Any]) -> Occupation:
        name = self._text("an occupation's name", entry.get("name"))
        share, held_out = entry.get("share_women"), entry.get("held_out", False)
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise self._wrong(
                f"occupation {name!r}: share_women", share, "a number from 0 to 1 (0.9 for 90 %)"
            )
        if not isinstance(held_out, bool):
            raise self._wrong(f"occupation {name!r}: held_out", held_out, "true or false")
        source = self._text(f"occupation {name!r}: source", entry.get("source"))
        return Occupation(name, float(share), held_out, source)

    def pair(self, entry: Mapping[str, Any], kind: str) -> Pair:
        pair = Pair(
            male=self._text(f"{kind}: male", entry.get("male")),
            female=self._text(f"{kind}: female", entry.get("female")),
        )
        if pair.male == pair.female:
            raise self._wrong(kind, pair.male, "two different words")
        return pair

    def distinct(self, what: str, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name.casefold() in seen:
                raise self._wrong(what, name, "each name once")
            seen.add(name.casefold())

    def _text(self, what: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self._wrong(what, value, "a string that is not empty")
        return value

    def _wrong(self, what: str, found: object, needed: str) -> DataError:
        shown = "nothing" if found is None else repr(found)
        return DataError(
            f"lexicon {self._path}: {what} is {shown}; needed {needed}; correct the file"
        )
