"""Means, and differences of two means, with intervals for few units and long tails."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Mask, Vector
from probe.errors import DegenerateDataError
from probe.stats.bootstrap import studentised_interval
from probe.stats.confidence_limits import FEW, student
from probe.stats.interval import Interval, TestedInterval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_rows
from probe.stats.validation import as_finite, cluster_sums, ratio_spread


def mean_interval(
    values: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "",
) -> Interval:
    """Return the mean over rows with its 95 % interval over clusters.

    See `mean_test`, whose interval this is.
    """
    found = _mean_test(values, 0.0, clusters, bounds, resampling, unit)
    return Interval(found.value, found.low, found.high, unit, found.n)


def mean_test(
    values: npt.ArrayLike,
    *,
    bounds: tuple[float, float],
    null: float = 0.0,
    clusters: npt.ArrayLike | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "",
) -> TestedInterval:
    """Test a mean over rows: p-value and 95 % interval of one method, which cannot disagree.

    That of `probe.stats.bootstrap.studentised_interval` over clusters; where these differ in size,
    the mean is a ratio of sums. Of fewer than `FEW` clusters, whose distribution cannot be
    resampled, it is Student's.

    Parameters
    ----------
    values : array_like of shape (n,)
        One number a row, for example the difference of two models on one subject.
    bounds : (float, float)
        Smallest and largest value that a row can have. The interval stays within; where all rows
        are alike, the interval and p are exact: see `degenerate_test`.
    null : float, default=0
        Mean to test, within the bounds.
    clusters : array_like of shape (n,), optional
        Cluster of each row, drawn whole; without it each row is one.
    resampling : Resampling
    unit : str, optional
        What a cluster, or without clusters a row, is, in the plural.

    Returns
    -------
    TestedInterval
        In the unit of the values. ``p`` is at most 0.05 just where the interval excludes ``null``.

    Raises
    ------
    ShapeError, DataError
        If the values are no vector of finite numbers, or there are none.
    DegenerateDataError
        If there is a single row or cluster.
    """
    return _mean_test(values, null, clusters, bounds, resampling, unit)


def degenerate_test(
    value: float, n: int, bounds: tuple[float, float], *, null: float = 0.0, unit: str = ""
) -> TestedInterval:
    """Test the mean of a bounded quantity of which all n units have the same value.

    Units with other values may have been missed: at most ``1 - a^(1/n)`` of all, at the level a,
    and these may be at a bound. The limits are ``value + (bound - value) (1 - 0.025^(1/n))``, of
    which the p-value is the inversion.
    """
    unseen = 1 - 0.025 ** (1 / n)
    low, high = (value + (bound - value) * unseen for bound in bounds)
    p = 1.0
    if null != value:
        bound = bounds[0] if null < value else bounds[1]
        p = min(1.0, 2 * max(0.0, 1 - (null - value) / (bound - value)) ** n)
    return TestedInterval(value, low, high, unit, n, p)


def mean_difference(
    first: Vector, second: Vector, *, resampling: Resampling = BOOTSTRAP, unit: str = ""
) -> Interval:
    """Return the mean of one sample minus that of another, independent one.

    Each limit is the outer one of Welch's and of the studentised bootstrap's (each sample is
    drawn from itself, and every replicate measured in its own standard error); of fewer than `FEW`
    rows in a sample it is Welch's. A sample of one row has no spread and adds none.

    Parameters
    ----------
    first, second : ndarray of shape (n,), (m,)
    resampling : Resampling
    unit : str, optional
        What a row is, in the plural.

    Returns
    -------
    Interval
        In the unit of the values. 0 means that the means are equal.

    Raises
    ------
    ShapeError, DataError
        If a sample is no vector of finite numbers.
    DegenerateDataError
        If a sample is empty.
    """
    a, b = as_finite(first, "first"), as_finite(second, "second")
    if not len(a) or not len(b):
        raise DegenerateDataError("a sample is empty; needed at least 1 row in both")
    rng = resampling.rng()
    sides = [_resampled(sample, resampling.n, rng) for sample in (a, b)]
    value, n = float(a.mean() - b.mean()), len(a) + len(b)
    half = _welch(a, b)
    if min(len(a), len(b)) < FEW:
        return Interval(value, value - half, value + half, unit, n)
    error = math.sqrt(a.var() / len(a) + b.var() / len(b))
    moved, errors = sides[0][0] - sides[1][0] - value, np.sqrt(sides[0][1] + sides[1][1])
    has_spread = errors > 1e-12 * max(1.0, abs(value))
    if error == 0.0 or not has_spread.any():
        return Interval(value, value, value, unit, n)
    low, high = percentile_limits(moved[has_spread] / errors[has_spread])
    low, high = min(value - high * error, value - half), max(value - low * error, value + half)
    return Interval(value, low, high, unit, n)


def _mean_test(
    values: npt.ArrayLike,
    null: float,
    clusters: npt.ArrayLike | None,
    bounds: tuple[float, float] | None,
    resampling: Resampling,
    unit: str,
) -> TestedInterval:
    rows = as_finite(values, "scores")
    sums, sizes = cluster_sums(rows, clusters)
    value, n = float(rows.mean()), len(sums)
    spread = float(ratio_spread(sums, sizes, value))
    if bounds is not None and spread <= 1e-12 * max(1.0, abs(value)):
        return degenerate_test(value, n, bounds, null=null, unit=unit)
    moved, spreads = [np.empty(0)], [np.empty(0)]
    if n >= FEW:
        for drawn in resampled_rows(n, resampling.n, resampling.rng()):
            means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
            moved.append(means - value)
            spreads.append(ratio_spread(sums[drawn], sizes[drawn], means[:, None]))
    found = studentised_interval(
        value, spread, n, np.concatenate(moved), np.concatenate(spreads), null=null, unit=unit
    )
    if bounds is None:
        return found
    clipped = found.clipped(*bounds)
    return TestedInterval(value, clipped.low, clipped.high, unit, n, found.p)


def _welch(a: Double, b: Double) -> float:
    """Half of Welch's interval of a difference of two means."""
    sides = [(of.var(ddof=1) / len(of), len(of) - 1) for of in (a, b) if len(of) > 1]
    error2 = float(sum(each for each, _ in sides))
    if error2 == 0.0:
        return 0.0
    freedom = error2**2 / sum(each**2 / freedom for each, freedom in sides)
    return student(freedom) * math.sqrt(error2)


def _resampled(
    values: Double | Mask, n_draws: int, rng: np.random.Generator
) -> tuple[Double, Double]:
    """Mean of each replicate, and its squared standard error."""
    drawn = [values[rows] for rows in resampled_rows(len(values), n_draws, rng)]
    means, variances = zip(*((of.mean(axis=1), of.var(axis=1)) for of in drawn), strict=True)
    return np.concatenate(means), np.concatenate(variances) / len(values)
