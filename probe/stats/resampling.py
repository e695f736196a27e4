"""How many resamples to draw, from which seed, and how to draw them in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Indices
from probe.errors import DegenerateDataError

CHUNK_SIZE = 4_000_000
"""Numbers drawn at once, 32 MB: bounds memory, not the result."""


@dataclass(frozen=True)
class Resampling:
    """Number and seed of the resamples of a bootstrap, or of the permutations of a test.

    Raises
    ------
    ValueError
        If ``n`` is below 1 or the seed is negative.
    """

    n: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"the number of resamples is {self.n}; needed at least 1")
        if self.seed < 0:
            raise ValueError(f"the seed of the resamples is {self.seed}; needed at least 0")

    def rng(self) -> np.random.Generator:
        """Return a new generator of random numbers, always the same one."""
        return np.random.default_rng(self.seed)


BOOTSTRAP = Resampling()
"""Default of bootstrap intervals."""
PERMUTATIONS = Resampling(10_000)
"""Default of permutation tests."""


def chunks(n_draws: int, n_cells: int) -> list[int]:
    """Split a number of draws of ``n_cells`` numbers each into sizes that fit in memory."""
    size = max(1, CHUNK_SIZE // max(1, n_cells))
    return [min(size, n_draws - start) for start in range(0, n_draws, size)]


def resampled_rows(n: int, n_draws: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Draw rows with replacement, in chunks of shape (n_in_chunk, n)."""
    return (rng.integers(n, size=(size, n)) for size in chunks(n_draws, n))


def resampled_counts(n_units: int, n_draws: int, rng: np.random.Generator) -> Indices:
    """Draw ``n_units`` units with replacement; how often each came, shape (n_draws, n_units)."""
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws)


def resampled_weights(n: int, n_draws: int, rng: np.random.Generator) -> Double:
    """Draw n rows with replacement; return the share of each, (n_draws, n), rows of sum 1."""
    rows = rng.integers(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
    return np.bincount(rows.ravel(), minlength=n * n_draws).reshape(n_draws, n) / n


def percentile_limits(draws: Double, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the finite draws.

    A resample that repeats one row may leave an estimate undefined; such draws are left out.

    Raises
    ------
    DegenerateDataError
        If no draw is finite.
    """
    tail, finite = (1 - confidence) / 2, draws[np.isfinite(draws)]
    if not len(finite):
        raise DegenerateDataError(
            f"the estimate is undefined in all {len(draws)} bootstrap draws; needed more rows or "
            "more draws"
        )
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)
