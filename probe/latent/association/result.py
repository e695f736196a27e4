"""What every measure of sets of words returns, and how it draws its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double
from probe.stats.bootstrap import check_count, chunks, interval
from probe.stats.confidence_limits import student, widened
from probe.stats.permutation import PermutationP


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
    n_bootstrap: int,
    seed: int,
) -> Double:
    """Draw a figure as often as asked, in chunks that fit in memory."""
    check_count("n_bootstrap", n_bootstrap)
    rng = np.random.default_rng(seed)
    return np.concatenate([figure(size, rng) for size in chunks(n_bootstrap, n_cells)])


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
    low, high = interval(draws) if ends is None else ends
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


def correlation_limits(value: float, draws: Double, n: int) -> tuple[float, float]:
    """Place a rank correlation of n rows by its draws, on Fisher's scale and without their bias.

    Rows that are drawn twice take from a correlation, so the percentiles lie about a smaller one.
    Correlations of 1 are taken for half a step of ranks less.
    """
    edge = 1 - 6 / (n**3 - n)
    z, drawn = math.atanh(min(edge, max(-edge, value))), np.arctanh(np.clip(draws, -edge, edge))
    low, high = _about(z, drawn, n)
    return min(math.tanh(low), value), max(math.tanh(high), value)


def square_limits(value: float, draws: Double, n: int) -> tuple[float, float]:
    """Place a figure that is about a square, at least 0, by its draws, n units each.

    Without their bias, and upwards as far as Student's for its logarithm, as its error grows.
    """
    low, high = _about(value, draws, n)
    half = _half(draws, n)
    return max(0.0, low), max(high, value + half * widened(half, value))


def _about(value: float, draws: Double, n: int) -> tuple[float, float]:
    """Give percentiles of draws as they would lie about the value; at least Student's."""
    known = draws[np.isfinite(draws)]
    (low, high), half = interval(known - known.mean()), _half(known, n)
    return value + min(low, -half), value + max(high, half)


def _half(draws: Double, n: int) -> float:
    """Half of Student's interval by the draws' spread, that of n units, which is too small."""
    few = math.sqrt(n / max(n - 1, 1))
    return student(max(n - 1, 1)) * few * float(np.nanstd(draws))
