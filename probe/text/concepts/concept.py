"""Concepts that a user can write down: groups of words, pairs, templates and targets, as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import DataError
from probe.io.lines import nearest
from probe.text.concepts.files import read_concept

if TYPE_CHECKING:
    from probe.text.concepts.prompts import ConceptPrompts
    from probe.text.concepts.rows import ConceptRows
    from probe.text.vectors import NamedVectors

FOLDER = Path(__file__).parent.parent.parent / "data" / "concepts"
"""Concepts that are shipped with the package."""

NEUTRAL = "neutral"
"""Group of the prompts that say nothing of the concept; no group of a concept may be called so."""


@dataclass(frozen=True)
class Target:
    """A word whose lean is measured, such as an occupation."""

    name: str
    shares: Mapping[str, float]
    """Share of each group, from 0 to 1, where it is known, e.g. of the people in a job."""


@dataclass(frozen=True)
class Concept:
    """What tells K groups of people apart in words, and what may lean towards one of them.

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

    name: str
    groups: Mapping[str, tuple[str, ...]]
    """Words of each of at least two groups; an axis points from the second to the first."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Words that are equal but for the concept; all pairs join the same two groups, and the first
    word of each is of the group that stands first. Empty, or at least two."""
    templates: tuple[str, ...] = ("{word}", "{target}")
    targets: tuple[Target, ...] = ()
    source: str = ""
    """Name of the file, without its folder."""

    @classmethod
    def load(cls, name_or_path: str | Path) -> Concept:
        """Read and check a concept that is shipped (by its name) or that a user wrote (by a path).

        Raises
        ------
        DataError
            If there is no such concept, or its file is not what it must be; the message names the
            line, what stands there and what was needed.
        """
        shipped = concept_names()
        if str(name_or_path) in shipped:
            path = FOLDER / f"{name_or_path}.toml"
        elif (path := Path(name_or_path)).suffix.lower() != ".toml" and not path.is_file():
            raise DataError(
                f"there is no concept {str(name_or_path)!r}{nearest(str(name_or_path), shipped)}; "
                f"name one of {', '.join(shipped)}, or a TOML file"
            )
        content = read_concept(path)
        return cls(
            name=content.name,
            groups=content.groups,
            pairs=content.pairs,
            templates=content.templates or cls.templates,
            targets=tuple(Target(name, shares) for name, shares in content.targets.items()),
            source=path.name,
        )

    @property
    def pair_groups(self) -> tuple[str, str]:
        """The two groups that the pairs join; the first two if there are no pairs."""
        if not self.pairs:
            first, second, *_ = self.groups
            return first, second
        homes = {word: group for group, words in self.groups.items() for word in words}
        return homes[self.pairs[0][0]], homes[self.pairs[0][1]]

    def prompts(self) -> ConceptPrompts:
        """Put the words and targets into every template that fits: a table for an encoder."""
        from probe.text.concepts.prompts import ConceptPrompts

        return ConceptPrompts.build(self)

    def rows(self, vectors: NamedVectors) -> ConceptRows:
        """Find the words and targets among the names of imported vectors.

        Raises
        ------
        DataError
            If a group has no word left.
        """
        from probe.text.concepts.rows import ConceptRows

        return ConceptRows.find(self, vectors)


def concept_names() -> list[str]:
    """Names of the concepts that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))
