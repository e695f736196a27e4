"""Where on a map the groups are dense, as data for a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DegenerateDataError, ShapeError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Labels, as_codes

if TYPE_CHECKING:
    import pandas as pd


def group_density(
    places: Matrix, groups: Labels, *, n_grid: int = 60, margin: float = 0.1
) -> pd.DataFrame:
    """Estimate the density of each group of points on a grid that all of them share.

    A Gaussian kernel with Scott's bandwidth along each axis, ``n^(-1/6)`` standard deviations of
    the group. As the kernel is a product, the density on the whole grid is one matrix product.

    Parameters
    ----------
    places : ndarray of shape (n, 2)
        Points on a map.
    groups : array-like of shape (n,)
        Group of each.
    n_grid : int, default=60
        Lines of the grid along each axis, at least 2.
    margin : float, default=0.1
        How far the grid goes beyond the outermost points, as a share of their range.

    Returns
    -------
    DataFrame
        ``group, x, y, density, n``: ``n_grid**2`` rows a group, x running fastest. The density of
        a group adds up to about 1 over the map times the area of a cell (less what lies beyond
        the grid), whatever its size ``n``.

    Raises
    ------
    ValueError
        If ``n_grid`` or ``margin`` is not in its range.
    ShapeError, DataError
        If the places are no finite points, or there is not one group a point.
    DegenerateDataError
        If a group has less than 2 points, or they do not differ along both axes.

    References
    ----------
    Scott, *Multivariate Density Estimation*, Wiley 1992, equation 6.42.
    """
    import pandas as pd

    places = as_embeddings(places)
    if places.shape[1] != 2:
        raise ShapeError(f"places have shape {places.shape}; needed (n, 2)")
    if n_grid < 2 or not margin >= 0.0:
        raise ValueError(f"n_grid is {n_grid} and margin {margin}; needed at least 2 and 0")
    codes, names = as_codes(groups, n_rows=len(places), name="groups")
    reach = margin * np.ptp(places, axis=0)
    low, high = places.min(axis=0) - reach, places.max(axis=0) + reach
    grid = np.linspace(low, high, n_grid)  # (n_grid, 2)
    tables = []
    for code, name in enumerate(names.tolist()):
        points = places[codes == code]
        if len(points) < 2 or (np.ptp(points, axis=0) == 0.0).any():
            raise DegenerateDataError(
                f"group {name!r} has {len(points)} points that do not differ along both axes; "
                "needed at least 2 that do: leave it out"
            )
        along_x, along_y = (_kernel(grid[:, axis], points[:, axis]) for axis in (0, 1))
        density = along_y @ along_x.T / len(points)  # (y, x)
        table = pd.DataFrame({"group": name, "x": np.tile(grid[:, 0], n_grid)})
        tables.append(
            table.assign(y=np.repeat(grid[:, 1], n_grid), density=density.ravel(), n=len(points))
        )
    return pd.concat(tables, ignore_index=True)


def _kernel(grid: Double, values: Double) -> Double:
    """Gaussian density at each line of the grid around each value, shape (n_grid, n)."""
    width = values.std(ddof=1) * len(values) ** (-1 / 6)
    density: Double = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2)
    density /= width * np.sqrt(2 * np.pi)
    return density
