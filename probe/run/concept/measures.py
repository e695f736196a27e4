"""What the figures and the field's measures say about a concept's targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pandas as pd

from probe.run.concept.axes import ConceptAxis
from probe.run.concept.words import ConceptWords
from probe.run.studies.association import tests_table
from probe.text.concepts import Concept


def correlations(concept: Concept, places: pd.DataFrame) -> list[dict[str, Any]]:
    """Correlate the targets' place towards each group with that group's figures.

    A positive r means that the vectors repeat the figures. Groups whose figures are known for
    fewer than three targets, or are all the same, are left out.
    """
    from probe.stats.correlation import share_correlation

    targets = places[places["kind"] == "target"]
    found = []
    for group in concept.groups:
        # of two groups there is one axis: towards the second is away from the first
        is_own = group in set(places["toward"])
        rows = targets[targets["toward"] == (group if is_own else places["toward"].iloc[0])]
        rows = rows[rows[f"share_{group}"].notna()]
        if len(rows) >= 3 and rows[f"share_{group}"].nunique() > 1:
            place = rows["place"].to_numpy() * (1 if is_own else -1)
            r = share_correlation(place, rows[f"share_{group}"].to_numpy())
            found.append({"group": group, **asdict(r)})
    return found


def association_table(
    concept: Concept, words: ConceptWords, axes: list[ConceptAxis], **drawing: Any
) -> pd.DataFrame:
    """Test how the targets are associated with each axis's group against all others.

    ``WEAT``: targets whose figures are mostly of the group, against the rest; positive if they are
    nearer to it. ``RND``: negative if the targets are nearer to the group. ``ECT``: 1 if both sides
    rank the targets alike. ``RIPA``, of pairs: positive if the targets are nearer to the group.
    Measures with too few words are left out.
    """
    return tests_table(
        ({"measure": name, "toward": axis.toward}, test)
        for axis in axes
        for name, test in _tests(concept, words, axis, drawing)
    )


def _tests(
    concept: Concept, words: ConceptWords, axis: ConceptAxis, drawing: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    from probe.latent.association import ect, ripa, rnd, weat

    if not words.targets:
        return
    targets = words.rows(words.targets)
    group = words.rows(words.groups[axis.toward])
    rest = words.rows([w for name, ws in words.groups.items() if name != axis.toward for w in ws])
    mostly, others = _sides(concept, words, axis.toward)
    if min(len(mostly), len(others)) >= 2:
        yield "WEAT", weat(words.rows(mostly), words.rows(others), group, rest, **drawing)
    yield "RND", rnd(group, rest, targets, **drawing)
    if len(targets) >= 3:
        yield "ECT", ect(group, rest, targets, **drawing)
    if axis.kind == "pairs":
        first, second = (words.rows(of) for of in zip(*words.pairs, strict=True))
        yield "RIPA", ripa(first, second, targets, **drawing)


def _sides(concept: Concept, words: ConceptWords, group: str) -> tuple[list[str], list[str]]:
    """Targets that are mostly of a group by their figures, and those that are mostly not."""
    mostly: list[str] = []
    others: list[str] = []
    for name, shares in concept.targets.items():
        share = shares.get(group)
        if share is None and len(concept.groups) == 2 and shares:
            share = 1 - next(iter(shares.values()))
        if name in words.targets and share is not None and share != 0.5:
            (mostly if share > 0.5 else others).append(name)
    return mostly, others
