"""What the intervals of this room are made of: finite values, bootstrap draws, their quantiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import Double, Vector

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
