"""Confidence sequences of a share: intervals that stay valid whenever one stops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import OptionError

FAIR, UNFAIR, OPEN = "within", "outside", "open"
"""The share is within the band; it is outside; the images do not say."""


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
    """State of a sequential audit of one share."""

    n: int
    """Images that show a value."""
    n_hits: int
    value: float
    """Share of the hits; biased a little by the stopping, its interval is not."""
    low: float
    """Largest lower limit of the confidence sequence so far: valid whenever one stops."""
    high: float
    verdict: str
    """`FAIR`, `UNFAIR` or `OPEN`."""

    @classmethod
    def start(cls) -> SequentialAudit:
        """Return the state before the first image."""
        return cls(0, 0, 0.5, 0.0, 1.0, OPEN)

    def continued(
        self, n_hits: int, n: int, band: Band, *, confidence: float = 0.95
    ) -> SequentialAudit:
        """Add the hits among n new images that show a value.

        All intervals of one sequence hold together, and so does their intersection.
        """
        hits, total = self.n_hits + n_hits, self.n + n
        limits = confidence_sequence(np.array(hits), np.array(total), confidence=confidence)
        low, high = max(self.low, float(limits[0])), min(self.high, float(limits[1]))
        value = hits / total if total else 0.5
        return SequentialAudit(total, hits, value, low, high, band.verdict(low, high))


def confidence_sequence(
    hits: Counts, n: Counts, *, confidence: float = 0.95
) -> tuple[Double, Double]:
    """Bound a share at all numbers of images at once, so that one may stop at any time.

    After k hits in n images, the shares p whose mixture martingale

    ``M_n(p) = B(1/2 + k, 1/2 + n - k) / (B(1/2, 1/2) p^k (1 - p)^(n - k))``

    is below ``1 / (1 - confidence)``. It is the ratio of the likelihood under a Beta(1/2, 1/2)
    mixture to that under p, a martingale of mean 1 if p is true, and so by Ville's inequality it
    ever reaches that bound with probability ``1 - confidence`` at most. Hits, images and the limits
    have one shape; without an image, the limits are 0 and 1.

    References
    ----------
    Robbins, *Statistical methods related to the law of the iterated logarithm*, Ann. Math. Stat.
    41 (1970); Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*,
    JRSS B 86 (2024), of which this is the conjugate case.
    """
    from scipy.special import betaln, xlog1py, xlogy

    k, total = np.broadcast_arrays(np.asarray(hits, dtype=np.float64), np.asarray(n, np.float64))
    mixture = betaln(0.5 + k, 0.5 + total - k) - betaln(0.5, 0.5)
    bound = -math.log(1 - confidence)

    def is_out(p: Double) -> Double:
        # the logarithm of the martingale is convex in p, and least at k / n
        return np.asarray(mixture - xlogy(k, p) - xlog1py(total - k, -p) > bound)

    share = np.divide(k, total, out=np.full(k.shape, 0.5), where=total > 0)

    def limit(outside: Double) -> Double:
        inside = share
        for _ in range(50):  # of each pair the one outside is kept, so that rounding never narrows
            middle = (outside + inside) / 2
            out = is_out(middle)
            outside, inside = np.where(out, middle, outside), np.where(out, inside, middle)
        return outside

    low = np.where((k == 0) | (total == 0), 0.0, limit(np.zeros(k.shape)))
    high = np.where((k == total) | (total == 0), 1.0, limit(np.ones(k.shape)))
    return low, high
