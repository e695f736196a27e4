"""The file of a concept, checked; whatever is wrong is named with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.lines import nearest, read_lines
from probe.io.parsing import parse_toml
from probe.text.concepts.toml_lines import Path as Place
from probe.text.concepts.toml_lines import toml_lines

KEYS = ("name", "groups", "pairs", "templates", "targets")

RESERVED = ("neutral", "target")
"""Names that no group may have, because tables of prompts use them."""

_SLOTS = ({"word"}, {"target"}, {"word", "target"})
_MOST = 1 + 1e-6  # shares that were rounded may add up to a little more


@dataclass(frozen=True)
class ConceptFile:
    """What stands in the file of a concept."""

    name: str
    groups: Mapping[str, tuple[str, ...]]
    pairs: tuple[tuple[str, str], ...]
    templates: tuple[str, ...]
    targets: Mapping[str, Mapping[str, float]]


def read_concept(path: Path) -> ConceptFile:
    """Read and check the file of a concept.

    Raises
    ------
    DataError
        If the file is missing, is not TOML, or an entry is not what it must be; the message names
        the file, the line, what was found and what was needed.
    """
    text = "\n".join(line for _, line in read_lines(path))
    try:
        data, lines = parse_toml(text), toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"concept {path} is not TOML ({error}); correct the file") from error
    reader = _Reader(path, data, lines)
    reader.known()
    name = reader.text(("name",), data.get("name"))
    groups = reader.groups()
    pairs, targets = reader.pairs(groups), reader.targets(groups)
    return ConceptFile(name, groups, pairs, reader.templates(has_targets=bool(targets)), targets)


class _Reader:
    """Take values out of the file, or say on which line which of them is wrong."""

    def __init__(self, path: Path, data: Mapping[str, Any], lines: Mapping[Place, int]) -> None:
        self._path, self._data, self._lines = path, data, lines

    def known(self) -> None:
        for key in self._data:
            if key not in KEYS:
                raise self._wrong((key,), f"{key!r} is unknown{nearest(key, KEYS)}", _either(KEYS))

    def groups(self) -> dict[str, tuple[str, ...]]:
        found = self._table("groups", self._data.get("groups"))
        if len(found) < 2:
            raise self._wrong(("groups",), f"there are {len(found)} groups", "at least two")
        groups: dict[str, tuple[str, ...]] = {}
        homes: dict[str, tuple[str, int]] = {}
        for group, words in found.items():
            if group in KEYS:
                raise self._wrong(
                    ("groups", group), f"{group!r} stands below [groups]", "it above that line"
                )
            if not group.strip() or group in RESERVED:
                raise self._wrong(
                    ("groups", group),
                    f"a group is called {group!r}",
                    f"a name other than {_either(RESERVED)}",
                )
            words = self._strings(("groups", group), words)
            identical = next((g for g, w in groups.items() if _folded(w) == _folded(words)), None)
            if identical is not None:
                raise self._wrong(
                    ("groups", group),
                    f"groups {identical!r} and {group!r} hold the same words",
                    "groups that differ: nothing would tell them apart",
                )
            for index, word in enumerate(words):
                place: Place = ("groups", group, index)
                if (first := homes.get(word.casefold())) is not None:
                    raise self._wrong(
                        place,
                        f"{word!r} stands in {group!r} and, on line {first[1]}, in {first[0]!r}",
                        "each word once, in one group",
                    )
                homes[word.casefold()] = group, self._line(place)
            groups[group] = tuple(words)
        return groups

    def pairs(self, groups: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
        found = self._data.get("pairs", [])
        if not isinstance(found, list):
            raise self._wrong(("pairs",), f"pairs is {_shown(found)}", "a list of pairs of words")
        if len(found) == 1:
            raise self._wrong(
                ("pairs",), "there is one pair only", "at least two, or none: one has no spread"
            )
        homes = {word: group for group, words in groups.items() for word in words}
        joined: tuple[str, ...] = ()
        paired: set[str] = set()
        for index, pair in enumerate(found):
            place: Place = ("pairs", index)
            if not isinstance(pair, list) or len(pair) != 2:
                raise self._wrong(place, f"a pair is {_shown(pair)}", "a list of two words")
            for position, word in enumerate(pair):
                if not isinstance(word, str) or word not in homes:
                    raise self._wrong(
                        (*place, position),
                        f"{_shown(word)} of a pair is in no group{nearest(str(word), homes)}",
                        "words of the groups",
                    )
                if word in paired:
                    raise self._wrong(
                        (*place, position), f"{word!r} is in two pairs", "each word in one at most"
                    )
                paired.add(word)
            first, second = pair
            ends = homes[first], homes[second]
            order = list(groups)
            joined = joined or ends
            if order.index(ends[0]) >= order.index(ends[1]) or ends != joined:
                raise self._wrong(
                    place,
                    f"the pair {first!r}, {second!r} is of {ends[0]!r} and {ends[1]!r}",
                    "pairs of the same two groups, in the order of [groups]",
                )
        return tuple((first, second) for first, second in found)

    def templates(self, *, has_targets: bool) -> tuple[str, ...]:
        if "templates" not in self._data:
            return ()
        templates = self._strings(("templates",), self._data["templates"])
        for index, template in enumerate(templates):
            found = re.findall(r"\{(.*?)\}", template)
            if set(found) not in _SLOTS or len(set(found)) < len(found):
                raise self._wrong(
                    ("templates", index),
                    f"template {template!r} has the slots {found}",
                    "{word}, {target} or one of each",
                )
        wordy = [template for template in templates if "{word}" in template]
        if not any(has_targets or "{target}" not in template for template in wordy):
            needed = "at least one" if has_targets else "one without {target}, as there are none"
            raise self._wrong(("templates",), f"{len(wordy)} templates have a {{word}}", needed)
        return tuple(templates)

    def targets(self, groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
        found = self._data.get("targets", [])
        if isinstance(found, list):
            names = self._strings(("targets",), found) if found else []
            targets: dict[str, dict[str, float]] = {name: {} for name in names}
        else:
            table = self._table("targets", found)
            targets = {name: self._shares(name, shares, groups) for name, shares in table.items()}
        homes = {w.casefold(): group for group, words in groups.items() for w in words}
        seen: set[str] = set()
        for index, name in enumerate(targets):
            place: Place = ("targets", index if isinstance(found, list) else name)
            if not name.strip():
                raise self._wrong(place, f"a target is {name!r}", "a word")
            if (group := homes.get(name.casefold())) is not None:
                raise self._wrong(
                    place, f"target {name!r} is a word of {group!r}", "a word of no group"
                )
            if name.casefold() in seen:
                raise self._wrong(place, f"target {name!r} is there twice", "each target once")
            seen.add(name.casefold())
        return targets

    def _shares(self, name: str, found: object, groups: Mapping[str, Any]) -> dict[str, float]:
        shares = self._table(f"target {name!r}", found, ("targets", name))
        for group, share in shares.items():
            place: Place = ("targets", name, group)
            if group not in groups:
                raise self._wrong(
                    place,
                    f"{group!r} is no group{nearest(group, groups)}",
                    f"shares of {_either(tuple(groups))}",
                )
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
                raise self._wrong(
                    place,
                    f"the share of {group!r} in target {name!r} is {_shown(share)}",
                    "a number from 0 to 1 (0.9 for 90 %)",
                )
        if (total := sum(shares.values())) > _MOST:
            raise self._wrong(
                ("targets", name), f"the shares of target {name!r} add up to {total:g}", "at most 1"
            )
        return {group: float(share) for group, share in shares.items()}

    def _table(self, what: str, found: object, place: Place = ()) -> Mapping[str, Any]:
        if not isinstance(found, dict):
            raise self._wrong(place or (what,), f"{what} is {_shown(found)}", "a table")
        return found

    def _strings(self, place: Place, found: object) -> list[str]:
        what = ".".join(map(str, place))
        if not isinstance(found, list) or not found:
            shown = "an empty list" if found == [] else _shown(found)
            raise self._wrong(place, f"{what} is {shown}", "a list of words")
        words: list[str] = []
        for index, item in enumerate(found):
            word = self.text((*place, index), item)
            if word in words:
                raise self._wrong((*place, index), f"{word!r} is in {what} twice", "it once")
            words.append(word)
        return words

    def text(self, place: Place, found: object) -> str:
        if not isinstance(found, str) or not found.strip() or "\0" in found:
            what = next(str(part) for part in place[::-1] if isinstance(part, str))
            inside = f"an entry of {what}" if isinstance(place[-1], int) else what
            raise self._wrong(place, f"{inside} is {_shown(found)}", "a string that is not empty")
        return found

    def _line(self, place: Place) -> int:
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)

    def _wrong(self, place: Place, found: str, needed: str) -> DataError:
        return DataError(
            f"concept {self._path}, line {self._line(place)}: {found}; needed {needed}; "
            "correct the file"
        )


def _folded(words: Sequence[str]) -> set[str]:
    return {word.casefold() for word in words}


def _shown(found: object) -> str:
    return "nothing" if found is None else repr(found)


def _either(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}"
