"""What every measure of sets of words returns, and how it draws its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double
from probe.stats.permutation import PermutationP
from probe.stats.resampling import Resampling, chunks, percentile_limits


@dataclass(frozen=True, eq=False)
class MeasureResult:
    """A measure of bias with its interval and test; what 0 and 1 mean is said by each measure."""

    value: float
    low: float
    """Lower end of the 95 % bootstrap interval; the words of each set are drawn anew, from it."""
    high: float
    """Upper end of the 95 % bootstrap interval."""
    p: float
    """P-value of the permutation test of the measure."""
    p_low: float
    """Lower end of what is known of ``p``: its 95 % Clopper-Pearson interval, or ``p`` itself."""
    p_high: float
    """Upper end of what is known of ``p``."""
    is_exact: bool
    """True if every permutation was counted."""
    n_splits: int
    """Number of permutations that were looked at."""
    n: int
    """Number of words that the measure averages or ranks."""
    by_word: Double
    """Shape (n,): what each of these words contributes."""


def draw_figures(
    figure: Callable[[int, np.random.Generator], Double],
    n_cells: int,
    resampling: Resampling,
) -> Double:
    """Draw a figure as often as asked, in chunks that fit in memory."""
    rng = resampling.rng()
    return np.concatenate([figure(size, rng) for size in chunks(resampling.n, n_cells)])


def as_result(
    value: float,
    draws: Double,
    p: PermutationP,
    by_word: Double,
    *,
    ends: tuple[float, float] | None = None,
) -> MeasureResult:
    """Join a value, its draws, its test and what each word contributes.

    The interval ends at the percentiles of the draws where no ends are given.
    """
    low, high = percentile_limits(draws) if ends is None else ends
    return MeasureResult(
        value=value,
        low=low,
        high=high,
        p=p.value,
        p_low=p.low,
        p_high=p.high,
        is_exact=p.is_exact,
        n_splits=p.n_splits,
        n=len(by_word),
        by_word=by_word,
    )
