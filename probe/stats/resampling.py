"""How many resamples to draw, from which seed, and how to draw them in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from probe.arrays import Double, Indices
from probe.errors import DegenerateDataError

CHUNK_SIZE = 4_000_000
"""Numbers drawn at once, 32 MB: bounds memory, not the result."""


@dataclass(frozen=True)
class Resampling:
    """Number and seed of the resamples of a bootstrap, or of the permutations of a test."""

    n: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"the number of resamples is {self.n}; needed at least 1")
        if self.seed < 0:
            raise ValueError(f"the seed of the resamples is {self.seed}; needed at least 0")

    def for_tests(self, n_tests: int) -> Resampling:
        """Return enough resamples for the smallest p-value to survive adjustment for many tests.

        A p-value of n resamples is at least ``2 / (n + 1)``.
        """
        return replace(self, n=max(self.n, 60 * n_tests))

    def rng(self) -> np.random.Generator:
        """Return a new generator of random numbers, always the same one."""
        return np.random.default_rng(self.seed)


BOOTSTRAP = Resampling()
"""Default of bootstrap intervals."""
PERMUTATIONS = Resampling(10_000)
"""Default of permutation tests."""


class Resampled:
    """Mixin of settings that hold the number and the seed of the resamples."""

    n_bootstrap: int
    seed: int

    @property
    def resampling(self) -> Resampling:
        """The resamples behind each interval."""
        return Resampling(self.n_bootstrap, self.seed)


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


def resampled_weights(codes: Indices, n_draws: int, rng: np.random.Generator) -> Double:
    """Draw whole clusters of rows with replacement; return the share of each row in each draw.

    The clusters of n rows are numbered from 0. The shares, (n_draws, n), have rows of sum 1, as
    weights of a mean.
    """
    n_clusters = int(codes.max()) + 1
    drawn = rng.integers(n_clusters, size=(n_draws, n_clusters))
    drawn += n_clusters * np.arange(n_draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_clusters * n_draws)
    weights: Double = counts.reshape(n_draws, n_clusters)[:, codes].astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def resampled_estimates(
    estimate: Callable[[int, np.random.Generator], Double], n_cells: int, resampling: Resampling
) -> Double:
    """Draw an estimate ``resampling.n`` times, in chunks that fit in memory.

    ``estimate`` turns a number of draws and a generator into as many estimates, each of which needs
    ``n_cells`` numbers in memory.
    """
    rng = resampling.rng()
    return np.concatenate([estimate(size, rng) for size in chunks(resampling.n, n_cells)])


def percentile_limits(draws: Double, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the finite draws.

    A resample that repeats one row may leave an estimate undefined; such draws are left out.
    """
    tail, finite = (1 - confidence) / 2, draws[np.isfinite(draws)]
    if not len(finite):
        raise DegenerateDataError(
            f"the estimate is undefined in all {len(draws)} bootstrap draws; needed more rows or "
            "more draws"
        )
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)
