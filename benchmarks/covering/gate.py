"""Intervals of the gate's calibration error and AUC, over templates whose prompts fail together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats

from covering import N, held, row
from probe.stats.classification import auc_interval, calibration_error
from probe.stats.resampling import Resampling

PROMPTS = 12
"""Of a template."""
TOGETHER = 0.5
"""Share of the variance that the prompts of a template have in common."""
_N_BOOTSTRAP = 500


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Both figures of n templates, half of whose prompts are to be opened."""
    for n in N:
        templates = np.repeat(np.arange(n), PROMPTS).astype(str)
        should_open = np.repeat(np.arange(n) % 2 == 0, PROMPTS)
        for shift in (0.0, 1.5, 3.0):
            rng, hits = np.random.default_rng([n, round(10 * shift)]), 0
            truth = stats.norm.cdf(shift / np.sqrt(2))
            for _ in range(n_trials):
                scores = _noise(rng, n) + shift * should_open
                found = auc_interval(scores, should_open, clusters=templates)
                hits += found.low <= truth <= found.high
            yield row("AUC of the gate, over templates", n, f"AUC {truth:.2f}", hits / n_trials)
        for excess in (0.0, 0.1):
            rng = np.random.default_rng([n, round(10 * excess)])
            errors = []
            for trial in range(n_trials):
                resampling = Resampling(_N_BOOTSTRAP, trial)
                answers = _answers(rng, n, excess)
                errors.append(
                    calibration_error(*answers, clusters=templates, resampling=resampling)
                )
            setting = f"probabilities too high by {excess}"
            yield row("calibration error, at as many templates", n, setting, held(errors))


def _noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Normal numbers of variance 1, a row a prompt, those of a template alike in part."""
    common = np.repeat(rng.normal(size=n), PROMPTS)
    return np.sqrt(TOGETHER) * common + np.sqrt(1 - TOGETHER) * rng.normal(size=n * PROMPTS)


def _answers(rng: np.random.Generator, n: int, excess: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the predicted class, and whether it is right."""
    top = rng.uniform(0.55, 0.99, size=n * PROMPTS)
    return top, stats.norm.cdf(_noise(rng, n)) < top - excess
