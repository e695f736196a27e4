"""Quality of a classifier: the area under its ROC curve, and the error of its probabilities."""

import math

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Indices, Mask
from probe.errors import DegenerateDataError
from probe.stats.confidence_limits import exact_limits, student, widened
from probe.stats.interval import Interval
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_counts

N_BINS = 10
_FEW = 5
"""Weight of prior clusters in the estimate of how many rows each cluster counts for."""
_NEAR = 1e-9


def auc_interval(
    scores: Double, is_positive: Mask, *, clusters: npt.ArrayLike | None = None
) -> Interval:
    """Return the area under the ROC curve with its 95 % interval.

    The area is the probability that a positive row scores above a negative one, ties counting half:
    0.5 is chance, 1 perfect. The interval is the union of two: the exact interval of a proportion
    of as many independent pairs as would vary like the area; and Newcombe's, whose variance is that
    at the limit. Near 1 the observed variance depends on the few clusters that lose any pair and is
    often too small; therefore the number of rows that each cluster counts for in Newcombe's
    interval is shrunk towards 1 with the weight of five clusters (ours).

    Parameters
    ----------
    scores : ndarray of shape (n,)
    is_positive : ndarray of bool, shape (n,)
    clusters : array_like of shape (n,), optional
        Cluster of each row.

    References
    ----------
    Obuchowski, *Nonparametric analysis of clustered ROC curve data*, Biometrics 53 (1997), for the
    variance; Korn and Graubard, *Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data*, Survey Methodology 24 (1998), for the number of
    pairs; Newcombe, *Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2*, Statistics in Medicine 25 (2006), method 5.
    """
    if is_positive.all() or not is_positive.any():
        raise DegenerateDataError(
            f"{int(is_positive.sum())} of {len(is_positive)} rows are positive; an area needs rows "
            "of both kinds"
        )
    n = len(scores)
    units = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    n_units = int(units.max()) + 1
    positive, negative = scores[is_positive], scores[~is_positive]
    wins = (positive[:, None] > negative).astype(np.float64) + 0.5 * (positive[:, None] == negative)
    value = float(wins.mean())
    near = float(value >= 0.5)
    influence, numbers, losing = [], [], []
    for side, won in ((is_positive, wins.mean(axis=1)), (~is_positive, wins.mean(axis=0))):
        of = units[side]
        influence.append(np.bincount(of, (won - value) / len(won), minlength=n_units))
        numbers.append(len(np.unique(of)))
        losing.append(len(np.unique(of[won != near])))
    variance = 2 * float(influence[0] @ influence[1])
    variance += sum(
        m / max(m - 1, 1) * float(i @ i) for m, i in zip(numbers, influence, strict=True)
    )
    t, n_pairs, rows = student(max(sum(numbers) - 2, 1)), float(min(numbers)), 1.0
    if variance > 0 and min(numbers) > 1:
        n_pairs = value * (1 - value) / variance * (student(n - 1) / t) ** 2
        most = min(len(positive) / numbers[0], len(negative) / numbers[1])
        rows = float(np.clip(_variance(value, *numbers) / variance, 1.0, most))
    rows = (min(losing) * rows + _FEW) / (min(losing) + _FEW)
    low, high = exact_limits(value * n_pairs, n_pairs)
    limits = [_newcombe(value, [rows * m for m in numbers], t, end) for end in (0.0, 1.0)]
    return Interval(value, min(float(low), limits[0]), max(float(high), limits[1]), n=n_units)


def calibration_error(
    probabilities: Double,
    is_right: Mask,
    *,
    clusters: npt.ArrayLike | None = None,
    resampling: Resampling = BOOTSTRAP,
) -> Interval:
    """Return the expected calibration error of predictions with its 95 % interval.

    ``sum_b n_b / n |share right in b - mean probability in b|`` over ten bins of equal width; 0 is
    calibrated. Sampling adds to the error, and a bootstrap adds as much again, which is subtracted
    from its percentiles: they are then of the error at as many rows. The limits are at least
    Student's with the bootstrap's standard error, and above, where the standard error grows with
    the error, Student's of its logarithm.

    Parameters
    ----------
    probabilities : ndarray of shape (n,)
        Of the predicted class.
    is_right : ndarray of bool, shape (n,)
        Whether the predicted class is the true one.
    clusters : array_like of shape (n,), optional
        Cluster of each row; clusters are resampled as a whole.
    resampling : Resampling

    References
    ----------
    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 3.
    """
    n, bins, gaps = len(is_right), _bins(probabilities), is_right - probabilities

    def error(counts: Double) -> Double:
        """For each row of counts, shape (n_draws, n)."""
        sums = np.stack([counts[:, bins == b] @ gaps[bins == b] for b in np.unique(bins)])
        result: Double = np.abs(sums).sum(axis=0) / counts.sum(axis=1)
        return result

    value = float(error(np.ones((1, n)))[0])
    units = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    n_units = int(units.max()) + 1
    counts = resampled_counts(n_units, resampling.n, resampling.rng())
    drawn = error(counts[:, units].astype(np.float64))
    low, high = percentile_limits(drawn - (drawn.mean() - value))
    few = math.sqrt(n_units / max(n_units - 1, 1))  # a bootstrap of few units varies too little
    half = student(max(n_units - 1, 1)) * float(drawn.std()) * few
    low = min(value - few * (value - low), value - half)
    high = max(value + few * (high - value), value + half * widened(half, value))
    return Interval(value, max(0.0, low), min(1.0, high), n=n_units)


def calibration_bins(probabilities: Double, is_right: Mask) -> list[dict[str, float]]:
    """Give ``bin``, mean ``probability`` and share ``right`` of each bin that is not empty.

    The share has its limits, ``low`` and ``high``, and the number ``n`` of rows.
    """
    bins, found = _bins(probabilities), []
    for b in np.unique(bins).tolist():
        right = proportion_interval(is_right[bins == b])
        limits = {"right": right.value, "low": right.low, "high": right.high, "n": right.n}
        found.append({"bin": b, "probability": float(probabilities[bins == b].mean()), **limits})
    return found


def _variance(area: float, n_positive: float, n_negative: float) -> float:
    """Variance of the area of independent rows, by Hanley and McNeil and Newcombe."""
    others = (n_positive + n_negative) / 2 - 1
    spread = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (n_positive * n_negative)


def _newcombe(value: float, numbers: list[float], t: float, end: float) -> float:
    """Find the area towards ``end`` from which the value is t of that area's standard errors."""
    from scipy.optimize import brentq

    if value == end:
        return end

    def excess(area: float) -> float:
        return abs(area - value) - t * math.sqrt(_variance(area, numbers[0], numbers[1]))

    beside = value + _NEAR * (end - value)  # at an area of 0 or 1 itself the variance is 0
    return float(brentq(excess, min(beside, end), max(beside, end)))


def _bins(probabilities: Double) -> Indices:
    return np.minimum((probabilities * N_BINS).astype(np.intp), N_BINS - 1)
