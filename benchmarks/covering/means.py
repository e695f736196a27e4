"""Intervals of means and correlations, beside the standard ones, and their widths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

from covering import N, Tally
from probe.stats.correlation import share_correlation, share_regression
from probe.stats.mean import mean_interval
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
    """Every mean; the standard interval is Student's over rows or clusters."""
    for n in N:
        for name, (draw, mean) in SCORES.items():
            rng, tallies = np.random.default_rng(n), defaultdict(Tally)
            groups = np.repeat(np.arange(n), 10)
            for trial in range(n_trials):
                options = {"resampling": Resampling(_N_BOOTSTRAP, trial)}
                scores = np.repeat(draw(rng, n), 10) + rng.normal(size=10 * n)
                tallies["mean over subjects, 10 images each (CLIP score)"].add(
                    mean_interval(scores, clusters=groups, **options),
                    _student(scores.reshape(n, 10).mean(axis=1)),
                    mean,
                )
                values = draw(rng, n)
                tallies["mean over rows"].add(
                    mean_interval(values, **options), _student(values), mean
                )
                # clusters of unequal size, whose sizes say nothing of their scores
                sizes = rng.integers(1, 6, size=n)
                codes = np.repeat(np.arange(n), sizes)
                of_rows = np.repeat(draw(rng, n), sizes) + rng.normal(size=len(codes))
                tallies["mean over clusters of rows"].add(
                    mean_interval(of_rows, clusters=codes, **options),
                    _student(np.bincount(codes, weights=of_rows) / sizes),
                    mean,
                )
            for interval, tally in tallies.items():
                yield tally.row(interval, n, f"{name} scores")
    yield from correlations(n_trials)


def correlations(n_trials: int) -> Iterator[dict[str, Any]]:
    """Pearson's r and the slope of bias score on labour share, beside Fisher's and OLS's."""
    for n in (5, *N):
        for true in (0.0, 0.6, 0.9):
            for spread in ("even", "uneven"):
                rng = np.random.default_rng([n, round(10 * true)])
                expected = _bias_scores(rng, 200_000, true, spread)
                correlation = float(np.corrcoef(*expected)[0, 1])
                tallies = defaultdict(Tally)
                for _ in range(n_trials):
                    shares, scores = _bias_scores(rng, n, true, spread)
                    fisher = stats.pearsonr(scores, shares).confidence_interval()
                    line = stats.linregress(shares, scores)
                    half = stats.t.ppf(0.975, n - 2) * line.stderr
                    tallies["correlation"].add(
                        share_correlation(scores, shares), tuple(fisher), correlation
                    )
                    tallies["slope"].add(
                        share_regression(scores, shares),
                        (line.slope - half, line.slope + half),
                        true * np.sqrt(12),
                    )
                for interval, tally in tallies.items():
                    yield tally.row(interval, n, f"r = {true}, {spread} spread")


def _student(values: np.ndarray) -> tuple[float, float]:
    return tuple(stats.ttest_1samp(values, 0.0).confidence_interval())


def _bias_scores(
    rng: np.random.Generator, n: int, true: float, spread: str
) -> tuple[np.ndarray, np.ndarray]:
    """Shares and bias scores, whose spread is even or grows away from the middle share."""
    shares, noise = rng.uniform(size=n), rng.normal(size=n)
    if spread == "uneven":
        noise *= np.sqrt(12) * np.abs(shares - 0.5)  # of mean square 1
    return shares, true * np.sqrt(12) * (shares - 0.5) + np.sqrt(1 - true**2) * noise
