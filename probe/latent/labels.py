"""Labels of rows as numbers, and means by label."""

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.errors import ShapeError

Labels = npt.ArrayLike
"""One label a row, of any type that sorts."""
Codes = npt.NDArray[np.intp]
Names = npt.NDArray[np.generic]


def as_codes(labels: Labels | None, *, n_rows: int, name: str) -> tuple[Codes, Names]:
    """Return each row's position among the distinct labels, and these labels in order.

    Without labels each row is its own.
    """
    if labels is None:
        return np.arange(n_rows), np.arange(n_rows)
    found = np.asarray(labels)
    if found.shape != (n_rows,):
        raise ShapeError(f"{name} have shape {found.shape}; needed one of each of {n_rows} rows")
    values, codes = np.unique(found, return_inverse=True)
    return codes, values


def group_means(z: Double, codes: Codes) -> Double:
    """Return the mean of the rows of each code, numbered from 0, shape (n_codes, n_features)."""
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: Double = np.add.reduceat(z[np.argsort(codes, kind="stable")], starts, axis=0)
    return sums / counts[:, None]
