"""A concept as a table of prompts with their groups, pairs and targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Indices
from probe.errors import DataError
from probe.text.concepts import Concept
from probe.text.prompts import check_prompt
from probe.text.templates import fill

NEUTRAL = "neutral"
"""Group of the prompts that say nothing of the concept; no group of a concept has this name."""

COLUMNS = ("prompt", "concept", "group", "word", "pair", "template", "target")


@dataclass(frozen=True, eq=False)
class ConceptPrompts:
    """Prompts of a concept, one a row, with their construction."""

    table: pd.DataFrame
    """Columns: ``prompt``; ``concept``; ``group``, one of the concept's or ``"neutral"``;
    ``word`` of the group (``""`` if neutral); ``pair``, an integer that a prompt shares with its
    counterfactual of the other group, -1 for all others; ``template``; ``target`` (``""`` if it has
    none); and ``share_GROUP`` of the target for each group, from 0 to 1, NaN where it is not known.
    """
    concept: Concept

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def build(cls, concept: Concept) -> ConceptPrompts:
        """Put every word and target of a concept into every template that fits.

        Raises
        ------
        DataError
            If two rows are the same prompt, which would have two groups.
        """
        table = pd.DataFrame(_rows(concept), columns=list(COLUMNS))
        for prompt in table["prompt"]:
            check_prompt(prompt)
        if (again := table["prompt"].duplicated()).any():
            raise DataError(
                f"concept {concept.name!r} gives the prompt {table['prompt'][again].iloc[0]!r} "
                "twice; change its words or templates"
            )
        for group in concept.groups:
            shares = {name: known.get(group, np.nan) for name, known in concept.targets.items()}
            table[f"share_{group}"] = table["target"].map(shares).astype("float64")
        return cls(table, concept)

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of the table."""
        return [str(prompt) for prompt in self.table["prompt"]]

    def groups(self) -> dict[str, Indices]:
        """Indices of each group, in the concept's order; neutral prompts are in none."""
        found = self.table["group"].to_numpy()
        return {group: np.flatnonzero(found == group) for group in self.concept.groups}

    def pairs(self) -> tuple[Indices, Indices]:
        """Find the prompts that differ in the concept alone.

        Entry i of both arrays, of shape (n_pairs,), is of the same pair.
        """
        if not self.concept.pairs:
            raise DataError(
                f"concept {self.concept.name!r} has no pairs; add pairs to {self.concept.source}, "
                "or use an estimator that needs groups only"
            )
        ids = self.table["pair"].to_numpy()
        is_first = self.table["word"].isin([first for first, _ in self.concept.pairs]).to_numpy()
        first, second = (np.flatnonzero((ids >= 0) & side) for side in (is_first, ~is_first))
        return first[np.argsort(ids[first])], second[np.argsort(ids[second])]

    def targets(self) -> dict[str, Indices]:
        """Neutral rows of each target."""
        is_neutral = self.table["group"].to_numpy() == NEUTRAL
        found = self.table["target"].to_numpy()
        return {name: np.flatnonzero(is_neutral & (found == name)) for name in self.concept.targets}


def _rows(concept: Concept) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of `COLUMNS`."""
    n_pairs = 0
    for template in concept.templates:
        names = [*concept.targets] if "{target}" in template else [""]
        for name in names:
            if "{word}" not in template:
                prompt = fill(template, target=name)
                yield prompt, concept.name, NEUTRAL, "", -1, template, name
                continue
            pair_of: dict[str, int] = {}
            for pair in concept.pairs:
                pair_of |= dict.fromkeys(pair, n_pairs)
                n_pairs += 1
            for group, words in concept.groups.items():
                for word in words:
                    prompt = fill(template, word=word, target=name)
                    yield prompt, concept.name, group, word, pair_of.get(word, -1), template, name
