"""Closed-form confidence limits."""

import math

import numpy as np
import numpy.typing as npt

from probe.arrays import Double

COVERAGE = (0.025, 0.975)
"""Quantiles at the limits of a 95 % interval."""
FEW = 5
"""Numbers, rows or clusters below which a bootstrap has no shape to draw from."""


def student(freedom: float) -> float:
    """Upper 97.5 % point of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def jackknife_half(left: Double) -> float:
    """Half of Student's interval of a figure, by its values without each of n groups in turn."""
    n = len(left)
    return student(n - 1) * math.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())


def widened(half: float, value: float) -> float:
    """Factor by which an interval of the logarithm is wider away from 0.

    ``value exp(half / |value|)`` is the limit of an interval whose half on the logarithm is
    ``half / |value|``; the factor grows no more once that is 1, where 0 is in reach. For estimates
    whose error grows with them, as that of squares does. A value of 0 has no logarithm: 1.
    """
    if value == 0.0:
        return 1.0
    relative = min(half / abs(value), 1.0)
    return math.expm1(relative) / relative if relative > 0.0 else 1.0


def exact_limits(
    n_hits: npt.ArrayLike, n: npt.ArrayLike, *, tail: float = 0.025
) -> tuple[Double, Double]:
    """Compute the limits of exact intervals of proportions, those of Clopper and Pearson.

    Hits and trials have the same shape, and effective numbers need not be whole; ``tail`` is the
    probability that is left out on each side.

    References
    ----------
    Clopper and Pearson, *The use of confidence or fiducial limits illustrated in the case of the
    binomial*, Biometrika 26 (1934).
    """
    from scipy.special import betaincinv

    hits, trials = np.asarray(n_hits), np.asarray(n)
    misses = trials - hits
    with np.errstate(invalid="ignore"):  # a shape of 0 has no distribution: those limits are known
        low = np.where(hits == 0, 0.0, betaincinv(hits, misses + 1, tail))
        high = np.where(misses == 0, 1.0, betaincinv(hits + 1, misses, 1 - tail))
    return low, high
