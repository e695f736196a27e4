"""How a setting of an image model shifts shares: one slope and one intercept on the log-odds."""

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import DegenerateDataError, ShapeError

_PRIOR_SD = 1.0  # of slope - 1 and of the intercepts; halves the error of fits to 4 x 16 images


@dataclass(frozen=True)
class ShareShift:
    """A map of shares, ``p_k ~ exp(intercept_k) q_k^slope``.

    For two values this is a line on the log-odds, ``logit(p_1) = intercept_1 + slope logit(q_1)``.
    The default is the identity.
    """

    slope: float = 1.0
    """1: odds are kept; above 1: shares move away from even."""
    intercepts: tuple[float, ...] = ()
    """One per value, the last one 0; empty: all 0, i.e. even shares stay even."""

    def apply(self, shares: Double) -> Double:
        """Map shares of shape (n, K), rows of sum 1, to those under the setting."""
        weights = np.exp(self.slope * _log(shares) + self._offsets(shares))
        result: Double = weights / weights.sum(axis=1, keepdims=True)
        return result

    def invert(self, shares: Double) -> Double:
        """Map shares under the setting back, the inverse of `apply`."""
        weights = np.exp((_log(shares) - self._offsets(shares)) / self.slope)
        result: Double = weights / weights.sum(axis=1, keepdims=True)
        return result

    def _offsets(self, shares: Double) -> Double:
        if self.intercepts and len(self.intercepts) != shares.shape[1]:
            raise ShapeError(
                f"the shift is one of {len(self.intercepts)} values, the shares of "
                f"{shares.shape[1]}"
            )
        return np.asarray(self.intercepts or np.zeros(shares.shape[1]), dtype=np.float64)


def fit_share_shift(shares: Double, counts: Counts) -> ShareShift:
    """Fit a shift by maximum likelihood: a multinomial regression on the log shares.

    ``shares`` are those without the setting, none of them 0 (see `smoothed_shares`), ``counts`` the
    images of each value under it, both (n_subjects, K). A weak normal prior (standard deviation 1,
    around the identity; our choice) gives few counts, or counts that a line separates, a sensible
    fit.
    """
    from scipy.optimize import minimize

    if shares.shape != counts.shape or shares.ndim != 2 or shares.shape[1] < 2:
        raise ShapeError(
            f"shares have shape {shares.shape} and counts {counts.shape}; needed both "
            "(n_subjects, K), K at least 2"
        )
    x = _log(shares) - _log(shares)[:, -1:]  # (n_subjects, K), log-odds against the last value
    if np.ptp(x, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"all {len(x)} subjects have the same shares, so that the slope of the shift is open; "
            "needed subjects with different shares"
        )
    totals = counts.sum(axis=1, keepdims=True)

    def cost(parameters: Double) -> tuple[float, Double]:
        slope, free = parameters[0], np.append(parameters[1:], 0.0)
        logits = slope * x + free
        top = logits.max(axis=1, keepdims=True)
        norm = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        residual = totals * np.exp(logits - norm) - counts  # (n_subjects, K)
        around = parameters - np.eye(len(parameters))[0]
        value = -(counts * (logits - norm)).sum() + (around**2).sum() / (2 * _PRIOR_SD**2)
        gradient = np.append((residual * x).sum(), residual.sum(axis=0)[:-1])
        return float(value), gradient + around / _PRIOR_SD**2

    start = np.eye(shares.shape[1])[0]
    found = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-6 * totals.sum()})
    return ShareShift(float(found.x[0]), (*(float(v) for v in found.x[1:]), 0.0))


def smoothed_shares(counts: Counts) -> Double:
    """Estimate shares that are never 0: half an image more for each value."""
    raised = counts + 0.5
    result: Double = raised / raised.sum(axis=1, keepdims=True)
    return result


def _log(shares: Double) -> Double:
    with np.errstate(divide="ignore"):
        result: Double = np.log(shares)
    return result
