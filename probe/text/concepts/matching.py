"""The rows of imported vectors that are the words of a concept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probe.arrays import Indices
from probe.errors import DataError
from probe.text.vectors import NamedVectors, listed

if TYPE_CHECKING:
    from probe.text.concepts.words import ConceptWords


@dataclass(frozen=True, eq=False)
class ConceptRows:
    """Rows of a matrix that are the words and targets of a concept."""

    groups: Mapping[str, Indices]
    """Rows of each group, at least one."""
    pairs: tuple[Indices, Indices]
    """Rows of the first and of the second word of each pair that was found, (n_pairs,) each."""
    targets: Mapping[str, int]
    """Row of each target that was found."""
    names: Mapping[str, str]
    """Name in the file of every word and target that was found."""
    missing: tuple[str, ...]
    """Words and targets that were not found."""

    @classmethod
    def find(cls, concept: ConceptWords, vectors: NamedVectors) -> ConceptRows:
        """Find the words of a concept among names.

        A word matches the name that equals it; else the first that equals it without regard to
        case and with ``_`` as a space, as word2vec writes phrases. In files of word2vec and GloVe
        the first is the most frequent one.

        Raises
        ------
        DataError
            If no word of a group is found, or two words match the same name.
        """
        loose: dict[str, int] = {}
        for row, name in enumerate(vectors.names):
            loose.setdefault(_loose(name), row)
        words = [word for group in concept.groups.values() for word in group]
        words += [target.name for target in concept.targets]
        places = {word: vectors.row_of.get(word, loose.get(_loose(word))) for word in words}
        found = {word: row for word, row in places.items() if row is not None}
        words_of: dict[int, str] = {}
        for word, row in found.items():
            if (other := words_of.setdefault(row, word)) != word:
                raise DataError(
                    f"{other!r} and {word!r} of concept {concept.name!r} are both the name "
                    f"{vectors.names[row]!r} in {vectors.source}; leave one of them out"
                )
        missing = tuple(word for word in words if word not in found)
        groups = {}
        for group, members in concept.groups.items():
            groups[group] = np.array([found[w] for w in members if w in found], dtype=np.intp)
            if not len(groups[group]):
                raise DataError(
                    f"{vectors.source} has none of the words of group {group!r} of concept "
                    f"{concept.name!r} ({listed(members)}); "
                    "add words that it has"
                )
        pairs = [pair for pair in concept.pairs if pair[0] in found and pair[1] in found]
        first, second = (np.array([found[p[i]] for p in pairs], dtype=np.intp) for i in (0, 1))
        targets = {t.name: found[t.name] for t in concept.targets if t.name in found}
        names = {word: vectors.names[row] for word, row in found.items()}
        return cls(groups, (first, second), targets, names, missing)

    def summary(self) -> str:
        """One line: numbers of words, pairs and targets that were found, and the missing ones."""
        groups = ", ".join(f"{len(rows)} of {group}" for group, rows in self.groups.items())
        missing = f"; missing: {listed(self.missing)}" if self.missing else ""
        return (
            f"{groups}, {len(self.pairs[0])} pairs, {len(self.targets)} targets among the names"
            f"{missing}"
        )


def _loose(name: str) -> str:
    return name.replace("_", " ").casefold()
