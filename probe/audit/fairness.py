"""Fairness of images: counts of an attribute's values -> figures, intervals, comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import (
    MEASURES,
    as_counts,
    as_pair,
    as_target,
    measure_shares,
    noise_floor,
    worst_figures,
)
from probe.audit.subject_intervals import interval_over_subjects
from probe.stats.interval import Interval, TestedInterval
from probe.stats.resampling import BOOTSTRAP, Resampling


@dataclass(frozen=True)
class FairnessFigure(Interval):
    """A fairness figure with its 95 % interval; 0 is perfectly fair."""

    floor: float = 0.0
    """Expected value for a perfectly fair model at the same numbers of images."""


def fairness_figures(
    counts: Counts,
    *,
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "subjects",
) -> dict[str, FairnessFigure]:
    """Measure how far the images of subjects are from a fair mix of an attribute's values.

    Each measure of `probe.audit.measures.measure_shares`, averaged over the subjects.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
        Number of images of each subject in which each value was seen; K is at least 2.
    target : ndarray of shape (K,) or (n_subjects, K), optional
        Fair shares, positive and of sum 1; one row for all or one for each subject.
    resampling : Resampling
    unit : str, default="subjects"
        What the rows are.

    Returns
    -------
    dict of str to FairnessFigure
        Keys are `MEASURES`. 0 means that the shares of every subject are the target; a fair model
        scores ``floor``, because a finite number of images is never an exact mix.

    Raises
    ------
    ShapeError, DataError
        If ``counts`` is no table of counts, or a subject has no image.
    ValueError
        If the target is not positive or does not sum to 1.

    Notes
    -----
    The interval is that of `probe.audit.subject_intervals.interval_over_subjects`; it covers the
    figure that subjects like these have at these numbers of images (coverage: see
    ``docs/intervals.md``).
    """
    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = counts.sum(axis=1)
    found = interval_over_subjects(
        [counts],
        fair,
        lambda shares, target: measure_shares(shares[0], target),
        resampling=resampling,
        unit=unit,
    )
    floors = _mean_floor(totals, fair, resampling.seed)
    worst = worst_figures(fair)
    figures = {}
    for name in MEASURES:
        of = found[name].clipped(0.0, worst[name])
        figures[name] = FairnessFigure(of.value, of.low, of.high, of.unit, of.n, floors[name])
    return figures


def paired_difference(
    counts_a: Counts,
    counts_b: Counts,
    *,
    measure: str = "mad",
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "subjects",
) -> TestedInterval:
    """Compare the fairness of two models on the same subjects.

    ``mean_s(f(b_s) - f(a_s))``, with the interval of `fairness_figures`: the same subjects are
    drawn for both models, and the images of each by itself, so that it is somewhat wide where
    both start from equal noise.

    Parameters
    ----------
    counts_a, counts_b : ndarray of int, shape (n_subjects, K)
        Counts of the first and the second model; row i of both is the same subject. Unequal
        numbers of images make the noise floors unequal, and so the comparison unfair.
    measure : str, default="mad"
        One of `MEASURES`.
    target, resampling, unit
        As in `fairness_figures`.

    Returns
    -------
    TestedInterval
        In units of the measure, within the differences that two models can have. 0 means equally
        fair, negative that the second model is fairer; ``p`` is at most 0.05 just where the
        interval excludes 0.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; needed one of {', '.join(MEASURES)}")
    tables = as_pair(counts_a, counts_b)
    fair = as_target(target, tables[0].shape)

    def change(shares: Sequence[Double], target: Double) -> dict[str, Double]:
        before, after = (measure_shares(of, target)[measure] for of in shares)
        return {measure: after - before}

    found = interval_over_subjects(tables, fair, change, resampling=resampling, unit=unit)[measure]
    worst = worst_figures(fair)[measure]
    return replace(found, low=max(found.low, -worst), high=min(found.high, worst))


def departure_p(counts: Counts, *, target: Double | None = None) -> Double:
    """Test for each subject whether its shares depart from the fair ones, shape (n_subjects,).

    The exact binomial test of each value's share, each tail at half of the level, so that it agrees
    with the share's exact interval; of more than two values the smallest p-value times their
    number (Bonferroni). The p-values are not adjusted for the number of subjects.
    """
    from scipy.stats import binom

    counts = as_counts(counts)
    fair, n = as_target(target, counts.shape), counts.sum(axis=1, keepdims=True)
    tail = np.minimum(binom.cdf(counts, n, fair), binom.sf(counts - 1, n, fair))
    n_tests = counts.shape[1] if counts.shape[1] > 2 else 1  # two values are one test
    return np.asarray(np.minimum(2 * n_tests * tail.min(axis=1), 1.0))


def _mean_floor(totals: Counts, fair: Double, seed: int) -> dict[str, float]:
    """Average the floor over subjects; those alike in number and target share one."""
    kinds, n_alike = np.unique(np.column_stack([totals, fair]), axis=0, return_counts=True)
    floors = [noise_floor(int(n), len(row), target=row, seed=seed) for n, *row in kinds.tolist()]
    return {
        name: float(np.average([floor[name] for floor in floors], weights=n_alike))
        for name in MEASURES
    }
