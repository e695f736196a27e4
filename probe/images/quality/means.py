"""Means over subjects, of which there are few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.errors import DegenerateDataError
from probe.images.fairness import Interval, centered_interval

Double = npt.NDArray[np.float64]


def mean_over_subjects(values: Double, *, n_bootstrap: int = 2000, seed: int = 0) -> Interval:
    """Give a mean over subjects with the 95 % interval of the bootstrap, as wide as Student's.

    Parameters
    ----------
    values : ndarray of shape (n_subjects,)
        One a subject, at least 2.
    n_bootstrap : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Interval
        In the unit of the values; see `probe.images.fairness.centered_interval`.

    Raises
    ------
    DegenerateDataError
        If there is a single subject, which has no spread.
    """
    if len(values) < 2:
        raise DegenerateDataError("a single subject has no spread; needed at least 2")
    rows = np.random.default_rng(seed).integers(len(values), size=(n_bootstrap, len(values)))
    drawn = values[rows].mean(axis=1)
    return centered_interval(float(values.mean()), drawn, drawn, n_subjects=len(values))
