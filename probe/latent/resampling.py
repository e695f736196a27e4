"""What the intervals of this room are made of: finite values, bootstrap draws, their quantiles."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import Double, Mask, Vector

Draws: TypeAlias = npt.NDArray[np.intp]

CELLS = 4_000_000
"""Drawn numbers held at once, 32 MB: bounds memory, not the result."""


def as_finite(values: Vector, name: str) -> Double:
    """Return finite values of one dimension in double precision, or say why they are none."""
    found: Double = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ShapeError(f"{name} needs one dimension, got shape {found.shape}")
    if n_bad := int((~np.isfinite(found)).sum()):
        raise DataError(f"{n_bad} of {len(found)} values of {name} are not finite; drop them")
    return found


def is_constant(values: Double) -> bool:
    """Tell whether values differ by rounding only."""
    # below this spread, what is left after subtracting the mean is rounding
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def chunks(n_draws: int, n_cells: int) -> list[int]:
    """Split a number of draws of ``n_cells`` numbers each into sizes that fit in memory."""
    size = max(1, CELLS // max(1, n_cells))
    return [min(size, n_draws - start) for start in range(0, n_draws, size)]


def resamples(n: int, n_bootstrap: int, rng: np.random.Generator) -> Iterator[Draws]:
    """Draw rows with replacement, in chunks of shape (n_draws, n)."""
    check_count("n_bootstrap", n_bootstrap)
    return (rng.integers(n, size=(size, n)) for size in chunks(n_bootstrap, n))


def resampled_weights(n: int, n_draws: int, rng: np.random.Generator) -> Double:
    """Draw n rows with replacement; return the share of each, (n_draws, n), rows of sum 1."""
    rows = rng.integers(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
    return np.bincount(rows.ravel(), minlength=n * n_draws).reshape(n_draws, n) / n


def interval(draws: Double, *, confidence: float = 0.95) -> tuple[float, float]:
    """Give the percentile interval of the draws that are finite.

    A draw that holds one row only, again and again, has no figure; it is left out.
    """
    tail, finite = (1 - confidence) / 2, draws[np.isfinite(draws)]
    if not len(finite):
        raise DegenerateDataError(
            f"none of {len(draws)} bootstrap draws has a figure; needed more rows or more draws"
        )
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def check_count(name: str, value: int) -> None:
    """Refuse a number of draws below 1."""
    if value < 1:
        raise ValueError(f"{name} is {value}; needed at least 1")


def draw_counts(n_units: int, n_draws: int, rng: np.random.Generator) -> Draws:
    """Draw ``n_units`` units with replacement; how often each came, shape (n_draws, n_units).

    Raises
    ------
    ValueError
        If there is no draw.
    """
    check_count("n_bootstrap", n_draws)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws)


def share_interval(
    is_hit: Mask, *, clusters: Draws | None = None, n_bootstrap: int = 2000, seed: int = 0
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
        z = NormalDist().inv_cdf(0.975)
        center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        # the ends are exactly 0 and 1 there; rounding must not leave the share outside
        low = 0.0 if share == 0.0 else float(center - half)
        high = 1.0 if share == 1.0 else float(center + half)
        return share, low, high
    _, low, high = mean_interval(is_hit, clusters=clusters, n_bootstrap=n_bootstrap, seed=seed)
    return share, low, high


def mean_interval(
    values: Double | Mask, *, clusters: Draws | None = None, n_bootstrap: int = 2000, seed: int = 0
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
    sums, rng = np.bincount(codes, weights=values), np.random.default_rng(seed)
    means = [
        sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        for drawn in resamples(len(sizes), n_bootstrap, rng)
    ]
    low, high = interval(np.concatenate(means))
    return float(np.mean(values)), low, high
