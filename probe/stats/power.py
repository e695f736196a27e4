"""How many images and how many subjects a question needs, with power 0.8 at a level of 5 %."""

import math
from typing import Any

import numpy as np

from probe.arrays import Counts, Mask
from probe.errors import OptionError

MOST = 100_000
"""Largest number that is searched."""
_LEVEL, _POWER = 0.05, 0.8
_N_IMAGES = (10, 20, 50, 100, 200)


def plan_audit(difference: float, *, spread: float | None = None) -> dict[str, Any]:
    """Count the images and subjects that it takes to detect a difference.

    Of one subject's share from 1/2 by its images, and of MAD between two models by subjects.
    ``spread`` is the standard deviation over subjects of the change of MAD; as large as the
    difference if not given, which is our choice: some subjects change twice as much, some not at
    all.
    """
    chosen = difference if spread is None else spread
    n_images = images_needed(difference)
    subjects = [
        {"n_images": n, "n_subjects": subjects_needed(difference, n_images=n, spread=chosen)}
        for n in _N_IMAGES
    ]
    return {
        "difference": difference,
        "spread": chosen,
        "images_per_subject": n_images,
        "subjects": subjects,
    }


def images_needed(difference: float) -> int:
    """Count the images of one subject that show its share to differ from 1/2.

    The smallest n from which on the exact two-sided binomial test of 1/2 (each tail at half of
    the level) rejects with probability 0.8 if the true share is ``1/2 + difference``.
    """
    from scipy.stats import binom, norm

    if not 0.0 < difference <= 0.5:
        raise OptionError(f"difference is {difference}; needed a number above 0 and up to 0.5")
    true = 0.5 + difference

    def reaches(n: Counts) -> Mask:
        low, high = binom.ppf(_LEVEL / 2, n, 0.5), binom.isf(_LEVEL / 2, n, 0.5)
        return np.asarray(binom.cdf(low - 1, n, true) + binom.sf(high, n, true) >= _POWER)

    spread = norm.isf(_LEVEL / 2) * 0.5 + norm.ppf(_POWER) * math.sqrt(true * (1 - true))
    if spread > difference * math.sqrt(MOST):
        raise OptionError(f"a difference of {difference} needs more than {MOST} images")
    guess = math.ceil((spread / difference) ** 2)  # by the normal approximation
    n = np.arange(1, max(30, 2 * guess))
    fails = np.flatnonzero(~reaches(n))  # power goes up and down with n: take the last failure
    return int(n[fails[-1]]) + 1 if len(fails) else 1


def subjects_needed(difference: float, *, n_images: int, spread: float) -> int:
    """Count the subjects that show that two models differ in MAD, each with so many images.

    By the paired t test over subjects, whose differences have the variance
    ``spread^2 + 2 / (4 n_images)``: that of ``|p - 1/2|`` of one subject far from fair, which is no
    smaller than near it, twice.
    """
    from scipy.stats import nct, t

    scale = math.hypot(spread, math.sqrt(0.5 / n_images))

    def reaches(n: int) -> bool:
        limit = t.isf(_LEVEL / 2, n - 1)
        return bool(nct.sf(limit, n - 1, difference / scale * math.sqrt(n)) >= _POWER)

    low, high = 1, 2
    while not reaches(high):
        low, high = high, 2 * high
        if low > MOST:
            raise OptionError(f"a difference of {difference} needs more than {MOST} subjects")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
