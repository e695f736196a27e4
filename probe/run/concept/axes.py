"""The axes of a concept: their stability, and the places of words on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.errors import DataError, DegenerateDataError
from probe.run.concept.words import ConceptWords
from probe.stats.resampling import Resampling

_CELLS = 4_000_000  # drawn numbers in memory at once


@dataclass(frozen=True, eq=False)
class ConceptAxis:
    """A unit axis towards one group, with its values when its words are resampled."""

    toward: str
    """Group on the positive side."""
    kind: str
    """``"pairs"``: mean difference of the pairs. ``"groups"``: from the middle of all groups, each
    of the same weight, to the mean of this one."""
    vector: Double
    """Shape (n_features,)."""
    center: Double
    """Shape (n_features,): the origin of the axis."""
    drawn_vectors: Double
    """Shape (n_draws, n_features); no rows if there is only one word to draw."""
    drawn_offsets: Double
    """Shape (n_draws,): where each drawn axis has its own 0."""
    n_units: int
    """Pairs, or words of the group, that were drawn."""

    def angles(self) -> tuple[float, float]:
        """Degrees between drawn axes and the full one: median, and what 95 % are below."""
        if not len(self.drawn_vectors):
            return float("nan"), float("nan")
        cosines = np.clip(self.drawn_vectors @ self.vector, -1.0, 1.0)
        median, high = np.quantile(np.degrees(np.arccos(cosines)), (0.5, 0.95))
        return float(median), float(high)

    def place(self, z: Double) -> Double:
        """Places of rows on the axis, each with the limits of its 95 % interval: (n, 3)."""
        values = (z - self.center) @ self.vector
        if not len(self.drawn_vectors):
            nothing = np.full(len(z), np.nan)
            return np.stack([values, nothing, nothing], axis=1)
        step = max(1, _CELLS // len(self.drawn_vectors))
        limits = [
            np.quantile(
                z[i : i + step] @ self.drawn_vectors.T - self.drawn_offsets, (0.025, 0.975), axis=1
            )
            for i in range(0, len(z), step)
        ]
        low, high = np.concatenate(limits, axis=1)
        return np.stack([values, low, high], axis=1)


def concept_axes(words: ConceptWords, *, resampling: Resampling) -> list[ConceptAxis]:
    """Find the axes of a concept.

    Two groups have one axis, towards the first: the mean difference of the pairs where at least
    two are there, else the line from one group's mean to the other's. Of more groups, each has its
    axis from the middle of all.

    What is resampled is what a user chose and could have chosen otherwise: the pairs, or the words
    of each group, whole with all their prompts.

    Raises
    ------
    DataError
        If two groups have neither two pairs nor two words each.
    DegenerateDataError
        If the means of the groups coincide, so that there is no axis.
    """
    if len(words.groups) == 2 and len(words.pairs) >= 2:
        return [_pair_axis(words, resampling)]
    groups = {group: words.rows(members) for group, members in words.groups.items()}
    if len(groups) == 2 and (short := [name for name, rows in groups.items() if len(rows) < 2]):
        raise DataError(
            f"there are {len(words.pairs)} pairs, and {len(groups[short[0]])} word of group "
            f"{short[0]!r}; needed 2 pairs, or 2 words of each group, to see how firm the axis is"
        )
    axes = _group_axes(groups, resampling)
    return axes[:1] if len(groups) == 2 else axes


def pair_agreement(words: ConceptWords) -> float | None:
    """Mean cosine between the differences of two pairs; None if there are fewer than two.

    1 if all pairs differ in the same direction, 0 if they have nothing in common.
    """
    if (n := len(words.pairs)) < 2:
        return None
    first, second = (words.rows([pair[end] for pair in words.pairs]) for end in (0, 1))
    differences = first - second
    lengths = np.linalg.norm(differences, axis=1, keepdims=True)
    if not lengths.all():
        return None  # a pair whose words coincide has no direction
    total = np.linalg.norm((differences / lengths).sum(axis=0)) ** 2
    return float((total - n) / (n * (n - 1)))


def nearest_own_group(groups: Mapping[str, Double]) -> npt.NDArray[np.bool_]:
    """Return for each word whether its group's mean, without it, is the nearest of all.

    Only words of groups with at least two are asked, since nothing else is left of a group of one.
    With n words, the mean of the others is ``n / (n - 1)`` times as far from a word as the mean of
    all: no mean is computed again.
    """
    means = [rows.mean(axis=0) for rows in groups.values()]
    found = []
    for own, rows in enumerate(groups.values()):
        if (n := len(rows)) < 2:
            continue
        away = np.stack([np.linalg.norm(rows - mean, axis=1) for mean in means], axis=1)
        away[:, own] *= n / (n - 1)
        others = np.delete(away, own, axis=1)
        found.append(away[:, own] < others.min(axis=1))
    return np.concatenate(found) if found else np.empty(0, dtype=bool)


def _pair_axis(words: ConceptWords, resampling: Resampling) -> ConceptAxis:
    from probe.latent.directions import PairDirection
    from probe.stats.resampling import resampled_counts

    first, second = (words.rows([pair[end] for pair in words.pairs]) for end in (0, 1))
    n = len(first)
    weights = resampled_counts(n, resampling.n, resampling.rng()) / n
    vectors = _unit(weights @ (first - second))
    centers = weights @ (first + second) / 2
    return ConceptAxis(
        toward=next(iter(words.groups)),
        kind="pairs",
        vector=PairDirection().fit(first, second).direction_,
        center=(first + second).mean(axis=0) / 2,
        drawn_vectors=vectors,
        drawn_offsets=(centers * vectors).sum(axis=1),
        n_units=n,
    )


def _group_axes(groups: Mapping[str, Double], resampling: Resampling) -> list[ConceptAxis]:
    from probe.stats.resampling import resampled_counts

    group_means = np.stack([rows.mean(axis=0) for rows in groups.values()])
    center = group_means.mean(axis=0)
    rng = resampling.rng()
    drawn = np.stack(  # (n_groups, n_draws, n_features)
        [resampled_counts(len(z), resampling.n, rng) @ z / len(z) for z in groups.values()]
    )
    centers = drawn.mean(axis=0)
    axes = []
    for (group, rows), mean, means in zip(groups.items(), group_means, drawn, strict=True):
        vectors = _unit(means - centers)
        if len(rows) < 2:
            vectors = vectors[:0]
        axes.append(
            ConceptAxis(
                toward=group,
                kind="groups",
                vector=_unit((mean - center)[None], needed=group)[0],
                center=center,
                drawn_vectors=vectors,
                drawn_offsets=(centers[: len(vectors)] * vectors).sum(axis=1),
                n_units=len(rows),
            )
        )
    return axes


def _unit(rows: Double, *, needed: str = "") -> Double:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if lengths.min() <= 1e-12:
        what = (
            f"group {needed!r} is in the middle of the others"
            if needed
            else ("the words coincide in a resample")
        )
        raise DegenerateDataError(f"{what}, so there is no axis; needed words that differ more")
    unit: Double = rows / lengths
    return unit
