"""Studentised bootstrap intervals that are never narrower than Student's, and their p-values."""

from __future__ import annotations

import math

import numpy as np

from probe.arrays import Double
from probe.stats.confidence_limits import student
from probe.stats.interval import TestedInterval

_ROUNDING = 1e-12  # of the size of the estimate: a spread below it is no spread


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

    Parameters
    ----------
    value, spread : float
        Mean of the units and their standard deviation.
    n : int
        Number of units, at least 2.
    moved, spreads : ndarray of shape (n_draws,)
        Mean of each replicate minus what it estimates, and the standard deviation of its units.
        Replicates without spread are left out; without any draw the interval is Student's.
    null : float, default=0
        Value to test.
    unit : str, optional
        What a unit is, in the plural.

    Returns
    -------
    TestedInterval
        Units that are all alike have no spread to estimate an error from: the limits are the
        value, and p is that of the sign-flip test, ``2^(1 - n)``. `probe.stats.mean.mean_test`
        gives exact limits instead, by the bounds of the quantity.

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
    has_spread = spreads > _ROUNDING * max(1.0, abs(value))
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
