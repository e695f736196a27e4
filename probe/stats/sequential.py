"""Audit a share picture by picture, and stop as soon as the question is settled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import DataError, OptionError

FAIR, UNFAIR, OPEN = "within", "outside", "open"
"""The share is within the band; it is outside; the pictures do not say."""


@dataclass(frozen=True)
class Band:
    """The shares that count as fair."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise OptionError(
                f"the band goes from {self.low} to {self.high}; needed 0 <= low < high <= 1"
            )

    def verdict(self, low: float, high: float) -> str:
        """Say what a confidence interval settles."""
        if low >= self.low and high <= self.high:
            return FAIR
        return UNFAIR if high < self.low or low > self.high else OPEN


@dataclass(frozen=True)
class SequentialAudit:
    """Where a sequential audit of one share ended."""

    n: int
    """Pictures that it took."""
    n_hits: int
    value: float
    """Share of the hits; biased a little by the stopping, its interval is not."""
    low: float
    """Lower end of the confidence sequence: valid whenever one stops, for whatever reason."""
    high: float
    verdict: str
    """`FAIR`, `UNFAIR` or `OPEN`."""


def confidence_sequence(
    hits: Counts, n: Counts, *, confidence: float = 0.95
) -> tuple[Double, Double]:
    """Bound a share at all numbers of pictures at once, so that one may stop at any time.

    After k hits in n pictures, the shares p whose mixture martingale

    ``M_n(p) = B(1/2 + k, 1/2 + n - k) / (B(1/2, 1/2) p^k (1 - p)^(n - k))``

    is below ``1 / (1 - confidence)``. It is the ratio of the likelihood under a Beta(1/2, 1/2)
    mixture to that under p, a martingale of mean 1 if p is true, and so by Ville's inequality it
    ever reaches that bound with probability ``1 - confidence`` at most.

    Parameters
    ----------
    hits, n : ndarray of int, of the same shape
        Hits among the first n pictures.
    confidence : float, default=0.95
        Probability that all intervals of one sequence hold the share.

    Returns
    -------
    low, high : ndarray of the same shape
        From 0 to 1; without a picture, 0 and 1.

    Raises
    ------
    DataError
        If the hits are not between 0 and n.
    ValueError
        If the confidence is not between 0 and 1.

    References
    ----------
    Robbins, *Statistical methods related to the law of the iterated logarithm*, Ann. Math. Stat.
    41 (1970); Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*,
    JRSS B 86 (2024), of which this is the conjugate case.
    """
    from scipy.special import betaln, xlog1py, xlogy

    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; needed a number between 0 and 1")
    k, total = np.broadcast_arrays(np.asarray(hits, dtype=np.float64), np.asarray(n, np.float64))
    if (k < 0).any() or (k > total).any():
        raise DataError("there are more hits than pictures, or fewer than none; needed 0 <= k <= n")
    mixture = betaln(0.5 + k, 0.5 + total - k) - betaln(0.5, 0.5)
    bound = -math.log(1 - confidence)

    def is_out(p: Double) -> Double:
        # the logarithm of the martingale is convex in p, and least at k / n
        return np.asarray(mixture - xlogy(k, p) - xlog1py(total - k, -p) > bound)

    share = np.divide(k, total, out=np.full(k.shape, 0.5), where=total > 0)
    # every step halves; of each pair the end outside is kept, so that rounding never narrows
    outside, inside = np.zeros(k.shape), share.copy()
    top_outside, top_inside = np.ones(k.shape), share.copy()
    for _ in range(50):
        middle = (outside + inside) / 2
        out = is_out(middle)
        outside, inside = np.where(out, middle, outside), np.where(out, inside, middle)
        middle = (top_outside + top_inside) / 2
        out = is_out(middle)
        top_outside = np.where(out, middle, top_outside)
        top_inside = np.where(out, top_inside, middle)
    low = np.where((k == 0) | (total == 0), 0.0, outside)
    high = np.where((k == total) | (total == 0), 1.0, top_outside)
    return low, high


def audit_sequentially(
    draw: Callable[[int, int], tuple[int, int]],
    band: Band,
    *,
    n_max: int = 1000,
    n_batch: int = 10,
    confidence: float = 0.95,
) -> SequentialAudit:
    """Draw pictures in batches until the share is known to be within a band, or outside of it.

    Parameters
    ----------
    draw : callable
        Given how many pictures there are already and how many more are wanted, makes those and
        returns (hits, pictures that show a value) among the new ones.
    band : Band
        The shares that count as fair.
    n_max : int, default=1000
        Where to stop if nothing is settled.
    n_batch : int, default=10
        Pictures between two looks; any number is valid, and small ones stop sooner.
    confidence : float, default=0.95
        As for `confidence_sequence`.

    Returns
    -------
    SequentialAudit
        ``n`` counts the pictures that show a value.

    Raises
    ------
    ValueError
        If a number of pictures is below 1.
    """
    if n_max < 1 or n_batch < 1:
        raise ValueError(f"n_max is {n_max} and n_batch {n_batch}; needed at least 1")
    made = hits = seen = 0
    verdict, low, high = OPEN, 0.0, 1.0
    while made < n_max and verdict == OPEN:
        size = min(n_batch, n_max - made)
        new_hits, new_seen = draw(made, size)
        made, hits, seen = made + size, hits + new_hits, seen + new_seen
        low, high = (
            float(end)
            for end in confidence_sequence(np.array(hits), np.array(seen), confidence=confidence)
        )
        verdict = band.verdict(low, high)
    value = hits / seen if seen else math.nan
    return SequentialAudit(seen, hits, value, low, high, verdict)


def fixed_number(band: Band, *, share: float, confidence: float = 0.95, power: float = 0.8) -> int:
    """Count the pictures that a fixed-size audit needs to place a share on its side of a band.

    By the normal approximation: the ``confidence`` interval of the share lies on one side of the
    nearer end of the band with probability ``power``.

    Parameters
    ----------
    band : Band
    share : float
        The true share, which such a plan must guess.
    confidence, power : float
        Between 0 and 1.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If the share is an end of the band: no number settles that.
    """
    from statistics import NormalDist

    gap = min(abs(share - band.low), abs(share - band.high))
    if gap == 0.0:
        raise ValueError(f"the share {share} is an end of the band; no number of pictures tells")
    z = NormalDist().inv_cdf((1 + confidence) / 2) + NormalDist().inv_cdf(power)
    end = band.low if abs(share - band.low) <= abs(share - band.high) else band.high
    spread = max(share * (1 - share), end * (1 - end))
    return max(1, math.ceil(z**2 * spread / gap**2))
