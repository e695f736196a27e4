"""Resampling of rows that come in clusters, and intervals of shares of them."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import Double, Mask

Labels = npt.ArrayLike
"""One label a row, of any type that sorts."""
Codes = npt.NDArray[np.intp]
Names = npt.NDArray[np.generic]

COVERAGE = (0.025, 0.975)

_CELLS = 4_000_000  # drawn numbers held at once, 32 MB: bounds memory, not the result


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


def draw_counts(n_units: int, n_draws: int, rng: np.random.Generator) -> Codes:
    """Draw ``n_units`` units with replacement; how often each came, shape (n_draws, n_units).

    Raises
    ------
    ValueError
        If there is no draw.
    """
    if n_draws < 1:
        raise ValueError(f"n_bootstrap is {n_draws}; needed at least 1")
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws)


def share_interval(
    is_hit: Mask, *, clusters: Codes | None = None, n_bootstrap: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Give a share of rows with its 95 % interval.

    Wilson's score interval where the rows are independent. Where they come in clusters, the
    percentile interval over clusters that are drawn with replacement.

    Parameters
    ----------
    is_hit : ndarray of bool, shape (n,)
        Which rows count.
    clusters : ndarray of int, shape (n,), optional
        Cluster of each row, numbered from 0.
    n_bootstrap : int, default=2000
        Number of bootstrap samples; without clusters none are drawn.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    value, low, high : float
        From 0 to 1.

    Raises
    ------
    DataError
        If there is no row.
    DegenerateDataError
        If all rows are of one cluster.

    References
    ----------
    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    if not (n := len(is_hit)):
        raise DataError("there are no rows to take a share of; needed at least 1")
    share = float(is_hit.mean())
    if clusters is None:
        z = NormalDist().inv_cdf(COVERAGE[1])
        center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        # the ends are exactly 0 and 1 there; rounding must not leave the share outside
        low = 0.0 if share == 0.0 else float(center - half)
        high = 1.0 if share == 1.0 else float(center + half)
        return share, low, high
    _, low, high = mean_interval(is_hit, clusters=clusters, n_bootstrap=n_bootstrap, seed=seed)
    return share, low, high


def mean_interval(
    values: Double | Mask, *, clusters: Codes | None = None, n_bootstrap: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Give a mean over rows with its 95 % percentile interval over clusters drawn anew.

    Parameters and errors are those of `share_interval`; without clusters the rows are drawn.
    """
    n = len(values)
    codes = np.arange(n) if clusters is None else clusters
    _, codes, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DegenerateDataError(
            f"all {n} rows are of one cluster, so an interval over clusters has no width; needed "
            "at least 2 clusters"
        )
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; needed at least 1")
    sums, rng = np.bincount(codes, weights=values), np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(sizes))
    means = []
    for start in range(0, n_bootstrap, chunk):
        size = (min(chunk, n_bootstrap - start), len(sizes))
        drawn = rng.integers(len(sizes), size=size)
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), COVERAGE)
    return float(np.mean(values)), float(low), float(high)
