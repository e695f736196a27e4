"""Fairness of pictures: counts of an attribute's values -> figures, intervals, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import (
    MEASURES,
    as_counts,
    as_target,
    count_labels,
    measure_shares,
    noise_floor,
    worst_figures,
)
from probe.audit.subject_intervals import interval_over_subjects
from probe.errors import ShapeError
from probe.stats.interval import Interval
from probe.stats.permutation import sign_flip_p
from probe.stats.resampling import BOOTSTRAP, PERMUTATIONS, Resampling

__all__ = [
    "MEASURES",
    "FairnessFigure",
    "Interval",
    "PairedDifference",
    "count_labels",
    "fairness_figures",
    "noise_floor",
    "paired_difference",
]


@dataclass(frozen=True)
class FairnessFigure:
    """A fairness figure, its 95 % interval, and what a fair model would score."""

    value: float
    """0 means perfectly fair; compare with ``floor``, not with 0."""
    low: float
    high: float
    floor: float
    """Expected value for a perfectly fair model at the same numbers of images."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference of a fairness figure between two models on the same subjects."""

    value: float
    """Second model minus first; negative means that the second is fairer."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    p: float
    """Two-sided p-value of the sign-flip permutation test."""
    unit: str = "subjects"
    """What the interval and the test are over."""
    n: int = 0


def fairness_figures(
    counts: Counts, *, target: Double | None = None, resampling: Resampling = BOOTSTRAP
) -> dict[str, FairnessFigure]:
    """Measure how far the pictures of subjects are from a fair mix of an attribute's values.

    Each measure of `probe.audit.measures.measure_shares`, averaged over the subjects.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
        Number of pictures of each subject in which each value was seen; K is at least 2.
    target : ndarray of shape (K,) or (n_subjects, K), optional
        Fair shares, positive and of sum 1; one row for all or one for each subject.
    resampling : Resampling

    Returns
    -------
    dict of str to FairnessFigure
        Keys are `MEASURES`. 0 means that the shares of every subject are the target; a fair model
        scores ``floor``, because a finite number of pictures is never an exact mix.

    Raises
    ------
    ShapeError, DataError
        If ``counts`` is no table of counts, or a subject has no picture.
    ValueError
        If the target is not positive or does not sum to 1.

    Notes
    -----
    The interval is that of `probe.audit.subject_intervals.interval_over_subjects`; it covers the
    figure that subjects like these have at these numbers of pictures (simulated in
    ``docs/intervals.md`` by ``benchmarks/coverage.py``). Where the pictures of all
    subjects are alike, subjects that are not may have been missed: no interval can tell.
    """
    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = counts.sum(axis=1)
    found = interval_over_subjects(
        [counts],
        fair,
        lambda shares, target: measure_shares(shares[0], target),
        resampling=resampling,
        rng=resampling.rng(),
    )
    floors = _mean_floor(totals, fair, resampling.seed)
    worst = worst_figures(fair)
    figures = {}
    for name in MEASURES:
        figures[name] = FairnessFigure(
            value=found[name].value,
            low=max(0.0, found[name].low),
            high=min(found[name].high, worst[name]),
            floor=floors[name],
        )
    return figures


def paired_difference(
    counts_a: Counts,
    counts_b: Counts,
    *,
    measure: str = "mad",
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    permutations: Resampling = PERMUTATIONS,
    unit: str = "subjects",
) -> PairedDifference:
    """Compare the fairness of two models on the same subjects.

    ``mean_s(f(b_s) - f(a_s))``. The p-value is that of a permutation test that swaps the two
    models within subjects, i.e. flips the signs of the differences
    (`probe.stats.permutation.sign_flip_p`). The interval is that of `fairness_figures`, with the
    same subjects drawn for both models and the pictures of each by itself: it is somewhat wide
    where both start from equal noise.

    Parameters
    ----------
    counts_a, counts_b : ndarray of int, shape (n_subjects, K)
        Counts of the first and the second model; row i of both is the same subject. Unequal
        numbers of pictures make the noise floors unequal, and so the comparison unfair.
    measure : str, default="mad"
        One of `MEASURES`.
    target, resampling
        As in `fairness_figures`.
    permutations : Resampling
        Number of permutations, if not all are counted, and their seed.
    unit : str, default="subjects"
        What the rows are.

    Returns
    -------
    PairedDifference
        In units of the measure. 0 means equally fair, negative that the second model is fairer.

    Raises
    ------
    ShapeError, DataError
        If the counts are no tables of counts of the same shape.
    ValueError
        If an option is out of range.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; needed one of {', '.join(MEASURES)}")
    counts_a, counts_b = as_counts(counts_a), as_counts(counts_b)
    if counts_a.shape != counts_b.shape:
        raise ShapeError(
            f"the counts have the shapes {counts_a.shape} and {counts_b.shape}; needed the same "
            "subjects and values in both"
        )
    fair = as_target(target, counts_a.shape)
    rng = resampling.rng()

    def change(shares: Sequence[Double], target: Double) -> dict[str, Double]:
        before, after = (measure_shares(of, target)[measure] for of in shares)
        return {measure: after - before}

    tables = [counts_a, counts_b]
    found = interval_over_subjects(tables, fair, change, resampling=resampling, rng=rng)[measure]
    rows = change([table / table.sum(axis=1, keepdims=True) for table in tables], fair)[measure]
    p = sign_flip_p(rows, permutations=permutations).value
    return PairedDifference(found.value, found.low, found.high, p, unit, len(rows))


def _mean_floor(totals: Counts, fair: Double, seed: int) -> dict[str, float]:
    """Average the floor over subjects; those alike in number and target share one."""
    kinds, n_alike = np.unique(np.column_stack([totals, fair]), axis=0, return_counts=True)
    floors = [noise_floor(int(n), len(row), target=row, seed=seed) for n, *row in kinds.tolist()]
    return {
        name: float(np.average([floor[name] for floor in floors], weights=n_alike))
        for name in MEASURES
    }
