"""Checks of samples that intervals and tests share."""

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Mask, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError


def as_finite(values: npt.ArrayLike, name: str) -> Double:
    """Return finite values of one dimension in double precision, or refuse them."""
    found: Double = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ShapeError(f"{name} needs one dimension, got shape {found.shape}")
    if n_bad := int((~np.isfinite(found)).sum()):
        raise DataError(f"{n_bad} of {len(found)} values of {name} are not finite; drop them")
    return found


def is_constant(values: Vector) -> bool:
    """Return whether values differ by rounding only."""
    # below this spread, what is left after subtracting the mean is rounding
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def cluster_sums(values: Double | Mask, clusters: npt.ArrayLike | None) -> tuple[Double, Double]:
    """Return sum and number of the values of each cluster; each row is one without clusters."""
    if not len(values):
        raise DataError("there are no rows; needed at least 2")
    if clusters is None:
        sums, sizes = np.asarray(values, dtype=np.float64), np.ones(len(values))
    else:
        _, codes, counted = np.unique(clusters, return_inverse=True, return_counts=True)
        if codes.shape != (len(values),):
            raise DataError(
                f"there are {codes.size} clusters for {len(values)} rows; needed 1 a row"
            )
        sums = np.bincount(codes, weights=values).astype(np.float64)
        sizes = counted.astype(np.float64)
    if len(sums) < 2:
        raise DegenerateDataError(
            f"all {len(values)} rows are of one cluster, so the spread over clusters is unknown; "
            "needed at least 2 clusters"
        )
    return sums, sizes


def ratio_spread(sums: Double, sizes: Double, mean: Double | float) -> Double:
    """Return the standard deviation over clusters of a mean over rows, a ratio of sums.

    ``sqrt(sum_g ((S_g - mean N_g) / mean N)^2 / (G - 1))`` of G clusters, along the last axis;
    divided by sqrt(G), it is the standard error of the mean.
    """
    moved = (sums - mean * sizes) / sizes.mean(axis=-1, keepdims=True)
    return np.asarray(np.sqrt((moved**2).sum(axis=-1) / (sums.shape[-1] - 1)))
