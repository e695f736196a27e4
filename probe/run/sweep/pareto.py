"""The Pareto front: what nothing else beats in every respect."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def on_front(costs: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say which points no other point beats.

    A point beats another if it is no worse in every column and better in one; equal points do not
    beat each other.

    Parameters
    ----------
    costs : array of shape (n_points, n_costs)
        Less is better.

    Returns
    -------
    bool ndarray of shape (n_points,)
        True on the front. Of at least one point at least one is.

    Raises
    ------
    ValueError
        If a cost is no number.
    """
    points = np.asarray(costs, dtype=float)
    if points.ndim != 2 or np.isnan(points).any():
        raise ValueError(f"costs have shape {points.shape}; needed numbers, one row a point")
    no_worse = (points[:, None] <= points[None]).all(axis=2)  # (n_points, n_points)
    better = (points[:, None] < points[None]).any(axis=2)
    is_front: npt.NDArray[np.bool_] = np.logical_not(np.any(no_worse & better, axis=0))
    return is_front
