"""How many pictures and how many subjects a question needs."""

from __future__ import annotations

import math

import numpy as np

from probe.arrays import Counts, Mask
from probe.errors import OptionError

MOST = 100_000
"""Largest number that is searched."""


def images_needed(
    difference: float, *, share: float = 0.5, confidence: float = 0.95, power: float = 0.8
) -> int:
    """Count the pictures of one subject that show a share to differ from a fair one.

    The smallest n from which on the exact two-sided binomial test of ``share`` (each tail at half
    of the level) rejects with probability ``power`` if the true share is ``share + difference``, or
    ``share - difference`` where that is no share.

    Parameters
    ----------
    difference : float
        Distance from the fair share that is to be detected.
    share : float, default=0.5
        The fair share.
    confidence, power : float
        Between 0 and 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a number is out of range, or more than `MOST` pictures are needed.
    """
    from scipy.stats import binom

    _check(difference, confidence, power)
    true = share + difference if share + difference <= 1 else share - difference
    if not 0.0 < share < 1.0 or not 0.0 <= true <= 1.0:
        raise OptionError(f"a share of {share} cannot differ by {difference}; needed a smaller one")
    tail = (1 - confidence) / 2

    def reaches(n: Counts) -> Mask:
        low, high = binom.ppf(tail, n, share), binom.isf(tail, n, share)
        return np.asarray(binom.cdf(low - 1, n, true) + binom.sf(high, n, true) >= power)

    guess = _normal(difference, share, true, confidence, power)
    if guess > MOST:
        raise OptionError(f"a difference of {difference} needs more than {MOST} pictures")
    n = np.arange(1, max(30, 2 * guess))
    fails = np.flatnonzero(~reaches(n))  # power goes up and down with n: take the last failure
    return int(n[fails[-1]]) + 1 if len(fails) else 1


def subjects_needed(
    difference: float,
    *,
    n_images: int,
    spread: float = 0.0,
    share: float = 0.5,
    confidence: float = 0.95,
    power: float = 0.8,
) -> int:
    """Count the subjects that show that two models differ in MAD, each with so many pictures.

    By the paired t test over subjects, whose differences have the variance ``spread^2 + 2 v / n``;
    v / n is that of ``|p - t|`` for one subject far from fair, ``share (1 - share) / n_images``,
    which is no smaller than near it.

    Parameters
    ----------
    difference : float
        Mean difference of MAD that is to be detected.
    n_images : int
        Pictures of each subject, of each model.
    spread : float, default=0
        Standard deviation over subjects of the true differences; 0 if all change alike.
    share : float, default=0.5
        Share of one value in a typical subject; 0.5 varies most.
    confidence, power : float
        Between 0 and 1.

    Returns
    -------
    int
        At least 2.

    Raises
    ------
    ValueError
        If a number is out of range, or more than `MOST` subjects are needed.
    """
    from scipy.stats import nct, t

    _check(difference, confidence, power)
    if n_images < 1 or spread < 0 or not 0.0 < share < 1.0:
        raise OptionError(
            f"n_images is {n_images}, spread {spread} and share {share}; needed at least 1, at "
            "least 0, and a number between 0 and 1"
        )
    scale = math.sqrt(spread**2 + 2 * share * (1 - share) / n_images)

    def reaches(n: int) -> bool:
        end = t.ppf((1 + confidence) / 2, n - 1)
        return bool(nct.sf(end, n - 1, difference / scale * math.sqrt(n)) >= power)

    low, high = 1, 2
    while not reaches(high):
        low, high = high, 2 * high
        if low > MOST:
            raise OptionError(f"a difference of {difference} needs more than {MOST} subjects")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _normal(difference: float, share: float, true: float, confidence: float, power: float) -> int:
    from statistics import NormalDist

    z = NormalDist().inv_cdf
    spread = z((1 + confidence) / 2) * math.sqrt(share * (1 - share))
    spread += z(max(power, 0.5)) * math.sqrt(true * (1 - true))
    return math.ceil((spread / difference) ** 2)


def _check(difference: float, confidence: float, power: float) -> None:
    if not 0.0 < difference <= 1.0:
        raise OptionError(f"difference is {difference}; needed a number above 0 and up to 1")
    for name, number in (("confidence", confidence), ("power", power)):
        if not 0.0 < number < 1.0:
            raise OptionError(f"{name} is {number}; needed a number between 0 and 1")
