"""Labels of rows as numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.errors import ShapeError

Labels = npt.ArrayLike
"""One label a row, of any type that sorts."""
Codes = npt.NDArray[np.intp]
Names = npt.NDArray[np.generic]


def as_codes(labels: Labels | None, *, n_rows: int, name: str) -> tuple[Codes, Names]:
    """Number the labels of ``n_rows`` rows; without labels each row is its own.

    Returns
    -------
    codes : ndarray of int, shape (n_rows,)
        Position of each row's label in ``values``.
    values : ndarray of shape (n_values,)
        The distinct labels in order.

    Raises
    ------
    ShapeError
        If there is not one label a row.
    """
    if labels is None:
        return np.arange(n_rows), np.arange(n_rows)
    found = np.asarray(labels)
    if found.shape != (n_rows,):
        raise ShapeError(f"{name} have shape {found.shape}; needed one of each of {n_rows} rows")
    values, codes = np.unique(found, return_inverse=True)
    return codes, values
