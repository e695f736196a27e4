"""The words of a concept: groups, pairs, templates and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A word whose association with the groups is measured, such as an occupation."""

    name: str
    shares: Mapping[str, float]
    """Share of each group, from 0 to 1, where it is known, e.g. of the people in a job."""


@dataclass(frozen=True)
class ConceptWords:
    """Words that distinguish K groups of people, and targets that may be associated with them."""

    name: str
    groups: Mapping[str, tuple[str, ...]]
    """Words of each of at least two groups; an axis points from the second to the first."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Words that differ in the concept alone; all pairs join the same two groups, and the first
    word of each belongs to the group that comes first. Empty, or at least two."""
    templates: tuple[str, ...] = ("{word}", "{target}")
    targets: tuple[Target, ...] = ()
    source: str = ""
    """Name of the file, without its folder."""

    @property
    def pair_groups(self) -> tuple[str, str]:
        """The two groups that the pairs join; the first two if there are no pairs."""
        if not self.pairs:
            first, second, *_ = self.groups
            return first, second
        group_of = groups_by_word(self.groups)
        return group_of[self.pairs[0][0]], group_of[self.pairs[0][1]]


def groups_by_word(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the group of every word."""
    return {word: group for group, words in groups.items() for word in words}
