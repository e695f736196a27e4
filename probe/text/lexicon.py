"""The words of an experiment: occupations with labour-market shares, gendered pairs, templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from probe.io.toml_tables import TomlTable, either
from probe.text.templates import slots_of

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
    """True if it is excluded from all training, to measure generalisation to unseen jobs."""
    source: str
    """Source of the share."""


@dataclass(frozen=True)
class Pair:
    """Two words that differ in gender alone."""

    male: str
    female: str


@dataclass(frozen=True)
class Lexicon:
    """The words and templates that prompts are built from.

    In a template, ``a {slot}`` (or ``an {slot}``) takes the article of its word. Slots are
    ``{subject}`` and, in explicit templates, one of ``{person}`` and ``{adjective}``.
    """

    occupations: tuple[Occupation, ...]
    pairs: tuple[Pair, ...]
    """Nouns for ``{person}``."""
    neutral_templates: tuple[str, ...]
    """Templates without a gender, for occupations and objects."""
    explicit_templates: tuple[str, ...]
    """Templates that say the gender, by a noun or an adjective."""
    adjectives: tuple[Pair, ...]
    """Words for ``{adjective}``."""
    objects: tuple[str, ...]
    """Subjects that are no person, which a correction must not change."""

    @classmethod
    def load(cls, path: Path | None = None) -> Lexicon:
        """Read and check a lexicon; the shipped one if no path is given.

        Raises
        ------
        DataError
            If the file cannot be read or an entry is wrong; the message names it.
        """
        data = TomlTable.read(DEFAULT if path is None else Path(path), "lexicon")
        templates = data.table("templates")
        gendered = ({"subject", "person"}, {"subject", "adjective"})
        lexicon = cls(
            occupations=tuple(map(_occupation, data.tables("occupation"))),
            pairs=tuple(map(_pair, data.tables("pair"))),
            neutral_templates=_templates(templates, "neutral", {"subject"}),
            explicit_templates=_templates(templates, "explicit", *gendered),
            adjectives=tuple(map(_pair, data.tables("adjective"))),
            objects=data.strings("objects"),
        )
        jobs = [job.name for job in lexicon.occupations]
        data.distinct("occupation", jobs)
        data.distinct("objects", (*jobs, *lexicon.objects))
        return lexicon


def _occupation(entry: TomlTable) -> Occupation:
    return Occupation(
        name=entry.string("name"),
        share_women=entry.number("share_women", 0, 1),
        held_out=entry.flag("held_out", False),
        source=entry.string("source"),
    )


def _pair(entry: TomlTable) -> Pair:
    pair = Pair(male=entry.string("male"), female=entry.string("female"))
    if pair.male == pair.female:
        raise entry.wrong("female", f"is {pair.male!r}, as male is", "two different words")
    return pair


def _templates(table: TomlTable, key: str, *slots: set[str]) -> tuple[str, ...]:
    templates = table.strings(key)
    for index, template in enumerate(templates):
        if set(slots_of(template)) not in slots:
            needed = either(
                " and ".join(f"{{{slot}}}" for slot in sorted(choice)) for choice in slots
            )
            raise table.wrong(f"{key}[{index}]", f"is {template!r}", f"exactly the slots {needed}")
    return templates
