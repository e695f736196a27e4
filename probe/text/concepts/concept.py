"""Concepts that a user can write down: groups of words, pairs, templates and targets, as TOML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import DataError
from probe.io.lines import nearest
from probe.io.toml_tables import TomlTable, either, shown
from probe.text.concepts.matching import ConceptRows
from probe.text.concepts.words import ConceptWords, Target, groups_by_word

if TYPE_CHECKING:
    from probe.text.concepts.prompts import ConceptPrompts
    from probe.text.vectors import NamedVectors

FOLDER = Path(__file__).parent.parent.parent / "data" / "concepts"
"""Concepts that are shipped with the package."""

_KEYS = ("name", "groups", "pairs", "templates", "targets")
_RESERVED = ("neutral", "target")  # tables of prompts use these names
_SLOTS = (["word"], ["target"], ["target", "word"])
_MOST = 1 + 1e-6  # shares that were rounded may add up to a little more


class Concept(ConceptWords):
    """Words that distinguish K groups of people, and targets that may be associated with them.

    A file looks like this; all but ``name`` and ``groups`` may be left out::

        name = "age"
        templates = ["a photo of a {word} person", "a {word} {target}", "a photo of a {target}"]
        targets = ["nurse", "clerk"]
        pairs = [["young", "old"], ["youthful", "elderly"]]

        [groups]
        young = ["young", "youthful"]
        old = ["old", "elderly", "aged"]

    ``{word}`` takes a word of a group, ``{target}`` a target, and "a {slot}" the article that its
    word needs. With figures, targets are a table: ``[targets]``, ``nurse = { female = 0.9 }``.
    """

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
        )

    def prompts(self) -> ConceptPrompts:
        """Put the words and targets into every template that fits: a table for an encoder."""
        from probe.text.concepts.prompts import ConceptPrompts  # pandas

        return ConceptPrompts.build(self)

    def rows(self, vectors: NamedVectors) -> ConceptRows:
        """Find the words and targets among the names of imported vectors.

        Raises
        ------
        DataError
            If no word of a group is among them.
        """
        return ConceptRows.find(self, vectors)


def concept_names() -> list[str]:
    """Names of the concepts that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _groups(file: TomlTable) -> dict[str, tuple[str, ...]]:
    table = file.table("groups")
    if len(table.data) < 2:
        raise file.wrong("groups", f"has {len(table.data)} groups", "at least two")
    for group in table.data:
        if not group.strip() or group in (*_RESERVED, *_KEYS):
            raise table.wrong(
                group,
                "is the name of a group",
                f"another name: {either(_RESERVED)} is reserved, and keys such as pairs stand "
                "above [groups]",
            )
    groups = {group: table.strings(group) for group in table.data}
    group_of: dict[str, str] = {}
    for group, words in groups.items():
        for word in words:
            if (other := group_of.setdefault(word.casefold(), group)) != group:
                raise table.wrong(
                    group, f"has {word!r}, which is in {other!r} too", "each word in one group"
                )
    return groups


def _pairs(file: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    found = file.data.get("pairs", [])
    if not isinstance(found, list):
        raise file.wrong("pairs", shown(found), "a list of pairs of words")
    if len(found) == 1:
        raise file.wrong("pairs", "has one pair only", "at least two, or none: one has no spread")
    group_of, order = groups_by_word(groups), list(groups)
    paired: set[str] = set()
    for index, pair in enumerate(found):
        key = f"pairs[{index}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise file.wrong(key, shown(pair), "a list of two words")
        for word in pair:
            if not isinstance(word, str) or word not in group_of:
                raise file.wrong(
                    key,
                    f"has {word!r}, which is in no group{nearest(str(word), group_of)}",
                    "words of the groups",
                )
            if word in paired:
                raise file.wrong(key, f"has {word!r}, which is in another pair", "each word once")
            paired.add(word)
        joined = [group_of[word] for word in pair]
        if order.index(joined[0]) >= order.index(joined[1]) or joined != [
            group_of[word] for word in found[0]
        ]:
            raise file.wrong(
                key,
                f"joins {joined[0]!r} and {joined[1]!r}",
                "pairs of the same two groups, in the order of [groups]",
            )
    return tuple((first, second) for first, second in found)


def _templates(file: TomlTable, *, has_targets: bool) -> tuple[str, ...]:
    if "templates" not in file.data:
        return ()
    templates = file.strings("templates")
    for index, template in enumerate(templates):
        slots = re.findall(r"\{(.*?)\}", template)
        if sorted(slots) not in _SLOTS:
            raise file.wrong(
                f"templates[{index}]",
                f"is {template!r} with the slots {slots}",
                "{word}, {target} or one of each",
            )
    with_words = [template for template in templates if "{word}" in template]
    if not any(has_targets or "{target}" not in template for template in with_words):
        needed = "at least one" if has_targets else "one without {target}, as there are no targets"
        raise file.wrong("templates", f"has {len(with_words)} with a {{word}}", needed)
    return templates


def _targets(file: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> tuple[Target, ...]:
    found: Any = file.data.get("targets", [])
    if isinstance(found, list):
        targets = [Target(name, {}) for name in file.strings("targets")] if found else []
    else:
        table = file.table("targets")
        targets = [Target(name, _shares(table.table(name), groups)) for name in table.data]
        file.distinct("targets", [target.name for target in targets])
    group_of = {word.casefold(): group for word, group in groups_by_word(groups).items()}
    for name in (target.name for target in targets):
        if (group := group_of.get(name.casefold())) is not None:
            raise file.wrong("targets", f"has {name!r}, a word of {group!r}", "words of no group")
        if not name.strip():
            raise file.wrong("targets", f"has {name!r}", "words")
    return tuple(targets)


def _shares(table: TomlTable, groups: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    table.refuse_unknown(groups)
    shares = {group: table.number(group, 0, 1) for group in table.data}
    if (total := sum(shares.values())) > _MOST:
        raise table.wrong("shares", f"add up to {total:g}", "at most 1")
    return shares
