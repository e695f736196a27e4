"""Means, with intervals for few units and long tails, and tests of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.stats.bootstrap import studentised_interval
from probe.stats.confidence_limits import FEW
from probe.stats.interval import Interval, TestedInterval
from probe.stats.resampling import BOOTSTRAP, Resampling, resampled_rows
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
