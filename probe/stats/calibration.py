"""Calibration of predicted probabilities: the expected calibration error and its bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Indices, Mask
from probe.stats.confidence_limits import student, widened
from probe.stats.interval import Interval
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_counts

N_BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Mean probability and share right of one bin of probability."""

    bin: int
    probability: float
    right: Interval


def calibration_error(
    probabilities: Double,
    is_right: Mask,
    *,
    clusters: npt.ArrayLike | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "",
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
    unit : str, optional
        Of a cluster, or without clusters of a row, in the plural.

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
    return Interval(value, max(0.0, low), min(1.0, high), unit, n_units)


def calibration_bins(probabilities: Double, is_right: Mask) -> list[CalibrationBin]:
    """Compare mean probability and share right in each bin that is not empty."""
    bins = _bins(probabilities)
    return [
        CalibrationBin(
            int(b), float(probabilities[bins == b].mean()), proportion_interval(is_right[bins == b])
        )
        for b in np.unique(bins)
    ]


def _bins(probabilities: Double) -> Indices:
    return np.minimum((probabilities * N_BINS).astype(np.intp), N_BINS - 1)
