"""Cosine distance of each pair of images from the same noise."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DegenerateDataError, ShapeError


def paired_distances(before: Matrix, after: Matrix) -> Double:
    """Compute ``1 - cos`` of the features (n_pairs, d) of each pair: 0 (equal direction) to 2."""
    a, b = (np.asarray(of, dtype=np.float64) for of in (before, after))
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(f"features have the shapes {a.shape} and {b.shape}; needed pairs")
    lengths = [np.linalg.norm(of, axis=1) for of in (a, b)]
    if min(of.min(initial=1.0) for of in lengths) == 0.0:
        raise DegenerateDataError("features of an image are all 0 and have no direction")
    # of equal images it must be 0, and rounding would leave a trace
    cosines = np.minimum((a * b).sum(axis=1) / (lengths[0] * lengths[1]), 1.0)
    found: Double = np.where((a == b).all(axis=1), 0.0, 1.0 - cosines)
    return found
