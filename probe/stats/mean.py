"""Means, with intervals for few units and long tails, and tests of them."""

import math

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.stats.confidence_limits import FEW, student
from probe.stats.interval import Interval, TestedInterval
from probe.stats.resampling import BOOTSTRAP, Resampling, resampled_rows
from probe.stats.validation import as_finite, cluster_sums, ratio_spread

_ROUNDING = 1e-12  # of the size of the estimate: a spread below it is no spread


def mean_interval(
    values: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "",
) -> Interval:
    """Return the mean over rows with its 95 % interval over clusters: that of `mean_test`."""
    found = mean_test(values, clusters=clusters, bounds=bounds, resampling=resampling, unit=unit)
    return Interval(found.value, found.low, found.high, unit, found.n)


def mean_test(
    values: npt.ArrayLike,
    *,
    bounds: tuple[float, float] | None,
    null: float = 0.0,
    clusters: npt.ArrayLike | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "",
) -> TestedInterval:
    """Test a mean over rows: p-value and 95 % interval of one method, which cannot disagree.

    That of `studentised_interval` over clusters; where these differ in size, the mean is a ratio
    of sums. Of fewer than `FEW` clusters, whose distribution cannot be resampled, it is Student's.

    Parameters
    ----------
    values : array_like of shape (n,)
        One number a row, for example the difference of two models on one subject.
    bounds : (float, float), optional
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
    rows = as_finite(values, "scores")
    sums, sizes = cluster_sums(rows, clusters)
    value, n = float(rows.mean()), len(sums)
    spread = float(ratio_spread(sums, sizes, value))
    if bounds is not None and spread <= _ROUNDING * max(1.0, abs(value)):
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
    return found if bounds is None else found.clipped(*bounds)


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


def studentised_interval(
    value: float,
    spread: float,
    n: int,
    moved: Double,
    spreads: Double,
    *,
    null: float = 0.0,
    unit: str = "",
) -> TestedInterval:
    """Place a mean of n units by bootstrap replicates, each measured in its own spread.

    With ``t* = sqrt(n) moved / spreads``, each limit is the outer one of Student's t interval
    and of the studentised bootstrap, ``value - q(t*) spread / sqrt(n)`` with the 97.5 % and the
    2.5 % quantile q: Student's misses long tails, the bootstrap is too narrow now and then where
    units are few. The p-value is the larger one of the two tests, so that it is at most 0.05 just
    where the interval excludes ``null``; it is never below ``2 / (n_bootstrap + 1)``.

    ``moved`` and ``spreads``, (n_draws,), are the mean of each replicate minus what it estimates,
    and the standard deviation of its units. Replicates with less than a thousandth of ``spread``
    are left out; without any draw the interval is Student's. If the units themselves have no
    ``spread``, the limits are the value, and p is that of the sign-flip test, ``2^(1 - n)``.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), section 12.5; Hall, *The
    Bootstrap and Edgeworth Expansion* (1992), section 3.5.
    """
    from scipy.special import stdtr

    if spread <= _ROUNDING * max(1.0, abs(value)):
        p = 1.0 if math.isclose(value, null, abs_tol=_ROUNDING) else 2.0 ** (1 - n)
        return TestedInterval(value, value, value, unit, n, p)
    error = spread / math.sqrt(n)
    has_spread = spreads >= spread / 20  # those with less missed the few units that differ
    t = np.sort(math.sqrt(n) * moved[has_spread] / spreads[has_spread])
    few, statistic = student(n - 1), (value - null) / error
    t_low, t_high, p = -few, few, 2 * float(stdtr(n - 1, -abs(statistic)))
    if len(t):
        lowest, highest = np.quantile(t, [0.025, 0.975])
        t_low, t_high = min(t_low, float(lowest)), max(t_high, float(highest))
        below = float(np.interp(statistic, t, np.linspace(0.0, 1.0, len(t))))
        tail = 1.0 - below if statistic > 0 else below
        p = max(p, min(1.0, 2 * max(tail, 1 / (len(t) + 1))))
    return TestedInterval(value, value - t_high * error, value - t_low * error, unit, n, p)
