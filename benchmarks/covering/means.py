"""Intervals of means of scores: over subjects, over rows, over clusters of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from covering import N, row
from probe.stats.correlation import share_correlation
from probe.stats.mean import mean_difference, mean_interval
from probe.stats.resampling import Resampling

_N_BOOTSTRAP = 500
Draw = Callable[[np.random.Generator, int], np.ndarray]
SCORES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "two kinds": (lambda rng, n: rng.normal(3.0 * (rng.random(n) < 0.2), 1.0), 0.6),
}
"""How scores are spread, and their mean."""


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Every mean."""
    for n in N:
        for name, (draw, mean) in SCORES.items():
            rng = np.random.default_rng(n)
            subjects, plain, clustered, gap = 0, 0, 0, 0
            groups = np.repeat(np.arange(n), 10)
            for trial in range(n_trials):
                options = {"resampling": Resampling(_N_BOOTSTRAP, trial)}
                scores = np.repeat(draw(rng, n), 10) + rng.normal(size=10 * n)
                found = mean_interval(scores, clusters=groups, **options)
                subjects += found.low <= mean <= found.high
                values = draw(rng, n)
                found = mean_interval(values, **options)
                plain += found.low <= mean <= found.high
                # clusters of unequal size, whose sizes say nothing of their scores
                sizes = rng.integers(1, 6, size=n)
                codes = np.repeat(np.arange(n), sizes)
                of_rows = np.repeat(draw(rng, n), sizes) + rng.normal(size=len(codes))
                found = mean_interval(of_rows, clusters=codes, **options)
                clustered += found.low <= mean <= found.high
                apart = mean_difference(values, draw(rng, n), **options)
                gap += apart.low <= 0.0 <= apart.high
            told = f"{name} scores"
            yield row(
                "mean over subjects (CLIP score)",
                n,
                told + ", 10 pictures each",
                subjects / n_trials,
            )
            yield row("mean over rows", n, told, plain / n_trials)
            yield row("mean over clusters of rows", n, told, clustered / n_trials)
            yield row("gap of two groups", n, told, gap / n_trials)
    yield from correlations(n_trials)


def correlations(n_trials: int) -> Iterator[dict[str, Any]]:
    """Pearson's r of bias score and labour share over n occupations."""
    for n in N:
        for true in (0.0, 0.6, 0.9):
            rng, hits = np.random.default_rng([n, round(10 * true)]), 0
            for _ in range(n_trials):
                shares = rng.uniform(size=n)
                leans = true * np.sqrt(12) * (shares - 0.5)
                bias_scores = leans + np.sqrt(1 - true**2) * rng.normal(size=n)
                found = share_correlation(bias_scores, shares)
                hits += found.low <= true <= found.high
            yield row("correlation with labour shares", n, f"r = {true}", hits / n_trials)
