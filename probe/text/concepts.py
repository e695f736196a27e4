"""Concepts that a user can write down: groups of words, pairs, templates and targets, as TOML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import DataError, OptionError
from probe.io.lines import nearest
from probe.io.toml_tables import TomlTable, either, shown
from probe.text.attributes import GENDER, Attribute

if TYPE_CHECKING:
    from probe.text.vectors import NamedVectors

FOLDER = Path(__file__).parent.parent / "data" / "concepts"
"""Concepts that are shipped with the package."""

_KEYS = ("name", "groups", "pairs", "templates", "targets", "attribute")
_RESERVED = ("neutral", "target")  # tables of prompts use these names
_SLOTS = (["word"], ["target"], ["target", "word"])
_MOST = 1 + 1e-6  # shares that were rounded may add up to a little more


@dataclass(frozen=True)
class Concept:
    """Words that distinguish K groups of people, and targets that may be associated with them.

    ``docs/files.md`` shows a file.
    """

    name: str
    groups: Mapping[str, tuple[str, ...]]
    """Words of each of at least two groups; an axis points from the second to the first."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Words that differ in the concept alone; all pairs join the same two groups, and the first
    word of each belongs to the group that comes first. Empty, or at least two."""
    templates: tuple[str, ...] = ("{word}", "{target}")
    targets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Words whose association with the groups is measured, such as occupations, each with its share
    of each group, from 0 to 1, where that is known: e.g. of the people in a job."""
    source: str = ""
    """Name of the file, without its folder."""
    attribute: Attribute | None = None
    """What a correction needs to know of it, if the file says it."""

    @classmethod
    def load(cls, name_or_path: str | Path) -> Concept:
        """Read and check a shipped concept (by its name) or a user's (by its path).

        Raises
        ------
        DataError
            If there is no such concept, or an entry of its file is wrong; the message names the
            key, what was found and what was needed.
        """
        shipped = concept_names()
        if str(name_or_path) in shipped:
            path = FOLDER / f"{name_or_path}.toml"
        elif (path := Path(name_or_path)).suffix.lower() != ".toml" and not path.is_file():
            raise DataError(
                f"there is no concept {str(name_or_path)!r}{nearest(str(name_or_path), shipped)}; "
                f"name one of {', '.join(shipped)}, or a TOML file"
            )
        file = TomlTable.read(path, "concept")
        file.refuse_unknown(_KEYS)
        name, groups = file.string("name"), _groups(file)
        targets = _targets(file, groups)
        return cls(
            name=name,
            groups=groups,
            pairs=_pairs(file, groups),
            templates=_templates(file, has_targets=bool(targets)) or cls.templates,
            targets=targets,
            source=path.name,
            attribute=Attribute.of_table(path.stem, file.table("attribute"))
            if "attribute" in file.data
            else None,
        )

    def names_in(self, vectors: NamedVectors) -> dict[str, str]:
        """Find the words and targets among the names of imported vectors.

        A word matches the name that equals it; else the first that equals it without regard to
        case and with ``_`` as a space, as word2vec writes phrases. The result maps each word and
        target that was found to its name in the file; `DataError` if a group has no word there.
        """
        loose = {_loose(name): name for name in reversed(vectors.names)}
        exact = {name: name for name in vectors.names}
        words = [*_group_of(self.groups), *self.targets]
        matches = {word: exact.get(word) or loose.get(_loose(word)) for word in words}
        found = {word: name for word, name in matches.items() if name is not None}
        word_of: dict[str, str] = {}
        for word, name in found.items():
            if (other := word_of.setdefault(name, word)) != word:
                raise DataError(
                    f"{other!r} and {word!r} of concept {self.name!r} are both the name "
                    f"{name!r} in {vectors.source}; leave one of them out"
                )
        for group, members in self.groups.items():
            if found.keys().isdisjoint(members):
                raise DataError(
                    f"{vectors.source} has none of the words of group {group!r} of concept "
                    f"{self.name!r} ({', '.join(members[:5])}); add words that it has"
                )
        return found


def concept_names() -> list[str]:
    """Names of the concepts that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_attributes(names: str) -> tuple[Attribute, ...]:
    """Read attributes of shipped concepts by their names, with commas between: ``"gender,age"``.

    `OptionError` if one is there twice, or a concept says nothing about a correction.
    """
    found = tuple(map(_load_attribute, map(str.strip, names.split(","))))
    values = [value for attribute in found for value in attribute.values]
    if again := [value for value in values if values.count(value) > 1]:
        raise OptionError(f"attributes is {names!r}, with the value {again[0]} twice; needed once")
    return found


def attribute_files(names: str) -> list[Path]:
    """List the files that `load_attributes` reads."""
    return [FOLDER / f"{name}.toml" for of in names.split(",") if (name := of.strip()) != "gender"]


def _load_attribute(name: str) -> Attribute:
    if name == GENDER.name:
        return GENDER
    shipped = [of for of in concept_names() if of != GENDER.name]  # a run may come from a stranger
    if name not in shipped or (found := Concept.load(name).attribute) is None:
        known = [GENDER.name, *(of for of in shipped if Concept.load(of).attribute)]
        raise OptionError(
            f"attributes names {name!r}{nearest(name, known)}; known are {', '.join(known)}"
        )
    return found


def _loose(name: str) -> str:
    return name.replace("_", " ").casefold()


def _group_of(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The group of every word."""
    return {word: group for group, words in groups.items() for word in words}


def _groups(file: TomlTable) -> dict[str, tuple[str, ...]]:
    table = file.table("groups")
    if len(table.data) < 2:
        raise file.wrong("groups", f"has {len(table.data)} groups", "at least two")
    for group in table.data:
        if not group.strip() or group in (*_RESERVED, *_KEYS):
            needed = f"another name than {either(_RESERVED)}; keys stand above [groups]"
            raise table.wrong(group, "is the name of a group", needed)
    groups = {group: table.strings(group) for group in table.data}
    file.distinct("groups", [word for words in groups.values() for word in words])
    return groups


def _pairs(file: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    pairs = file.data.get("pairs", [])
    if not isinstance(pairs, list):
        raise file.wrong("pairs", shown(pairs), "a list of pairs of words")
    if len(pairs) == 1:
        raise file.wrong("pairs", "has one pair only", "at least two, or none: one has no spread")
    group_of, order = _group_of(groups), list(groups)
    for index, pair in enumerate(pairs):
        key = f"pairs[{index}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise file.wrong(key, shown(pair), "a list of two words")
        if unknown := [word for word in map(str, pair) if word not in group_of]:
            found = f"has {unknown[0]!r}, which is in no group{nearest(unknown[0], group_of)}"
            raise file.wrong(key, found, "words of the groups")
        first, second = (group_of[word] for word in pair)
        is_like_first = [first, second] == [group_of[word] for word in pairs[0]]
        if not is_like_first or order.index(first) >= order.index(second):
            needed = "pairs of the same two groups, in the order of [groups]"
            raise file.wrong(key, f"joins {first!r} and {second!r}", needed)
    file.distinct("pairs", [word for pair in pairs for word in pair])
    return tuple((first, second) for first, second in pairs)


def _templates(file: TomlTable, *, has_targets: bool) -> tuple[str, ...]:
    if "templates" not in file.data:
        return ()
    templates = file.strings("templates")
    for index, template in enumerate(templates):
        slots = re.findall(r"\{(.*?)\}", template)
        if sorted(slots) not in _SLOTS:
            found = f"is {template!r} with the slots {slots}"
            raise file.wrong(f"templates[{index}]", found, "{word}, {target} or one of each")
    with_words = [template for template in templates if "{word}" in template]
    if not any(has_targets or "{target}" not in template for template in with_words):
        needed = "at least one" if has_targets else "one without {target}, as there are no targets"
        raise file.wrong("templates", f"has {len(with_words)} with a {{word}}", needed)
    return templates


def _targets(file: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, float]]:
    found: Any = file.data.get("targets", [])
    if isinstance(found, list):
        names = file.strings("targets") if found else ()
        targets: dict[str, dict[str, float]] = {name: {} for name in names}
    else:
        table = file.table("targets")
        targets = {name: _shares(table.table(name), groups) for name in table.data}
    file.distinct("targets", targets)
    words = {word.casefold() for word in _group_of(groups)}
    for name in targets:
        if not name.strip() or name.casefold() in words:
            raise file.wrong("targets", f"has {name!r}", "words that are in no group")
    return targets


def _shares(table: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    table.refuse_unknown(groups)
    shares = {group: table.number(group, 0, 1) for group in table.data}
    if (total := sum(shares.values())) > _MOST:
        raise table.wrong("shares", f"add up to {total:g}", "at most 1")
    return shares
