"""Intervals of the measures of sets of words: effect sizes and distances, at n words a set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from covering import N, held, row
from probe.latent.association.ect import ect
from probe.latent.association.ripa import ripa
from probe.latent.association.rnd import rnd
from probe.latent.association.weat import weat
from probe.stats.resampling import Resampling

WIDTH = 50
LEANS = (0.0, 0.1, 0.3)
"""Of the first set of targets along the first feature; the second leans the other way."""
_OPTIONS = {"permutations": Resampling(1)}
_N_BOOTSTRAP = 400


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Each measure, as it is on average at as many words."""
    for n in N:
        for lean in LEANS:
            rng = np.random.default_rng([n, round(10 * lean)])
            found: dict[str, list[Any]] = {}
            for trial in range(n_trials):
                for name, measure in _measures(rng, n, lean).items():
                    found.setdefault(name, []).append(
                        measure(**_OPTIONS, resampling=Resampling(_N_BOOTSTRAP, trial))
                    )
            for name, drawn in found.items():
                yield row(f"{name}, at as many words", n, f"lean {lean}", held(drawn))


def _measures(rng: np.random.Generator, n: int, lean: float) -> dict[str, Callable[..., Any]]:
    x, y = _words(rng, n, lean), _words(rng, n, -lean)
    a, b = _words(rng, n, 0.5), _words(rng, n, -0.5)
    first, second = _pairs(rng, n, lean)
    leaning = _words(rng, n, lean / 2)
    return {
        "WEAT, effect size": lambda **of: weat(x, y, a, b, max_sums=0, **of),
        "RND": lambda **of: rnd(first, second, leaning, **of),
        "RIPA": lambda **of: ripa(first, second, leaning, **of),
        "ECT": lambda **of: ect(first, second, leaning, **of),
    }


def _words(rng: np.random.Generator, n: int, lean: float) -> np.ndarray:
    """Rows of length about 1 that lean along the first feature."""
    rows = rng.normal(size=(n, WIDTH)) / np.sqrt(WIDTH)
    rows[:, 0] += lean
    return rows


def _pairs(rng: np.random.Generator, n: int, lean: float) -> tuple[np.ndarray, np.ndarray]:
    """Two sets whose rows have half of their variance in common."""
    common = _words(rng, n, 0.0)
    first, second = (common + _words(rng, n, side * lean) for side in (1, -1))
    return first / np.sqrt(2), second / np.sqrt(2)
