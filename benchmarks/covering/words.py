"""Intervals of the measures of sets of words: effect sizes and distances, at n words a set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from covering import N, held, row
from probe.latent.association import ect, ripa, rnd, weat
from probe.latent.erasure.lipstick import clusters_left
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


def alarms(n_trials: int) -> Iterator[dict[str, Any]]:
    """Tests over near copies of unrelated words at 5 %: ``coverage`` counts no false alarm.

    ``standard`` is of the same test with every copy permuted singly.
    """
    options = {"permutations": Resampling(400), "resampling": Resampling(5)}
    for n, n_copies in ((3, 56), (12, 14)):
        of, quiet = np.repeat(np.arange(n), n_copies), defaultdict(list)
        for trial in range(n_trials):
            rng = np.random.default_rng([trial, n])
            x, y, a, b = (_copies(rng, n, n_copies, 20) for _ in range(4))
            words, both = rng.normal(size=(28, 20)), {"target_clusters": (of, of)}
            for name, test, clusters in (
                ("RIPA", partial(ripa, x, y, words), {"pair_clusters": of}),
                ("RND", partial(rnd, x, y, words), both),
                ("ECT", partial(ect, x, y, words), both),
                ("WEAT", partial(weat, x, y, a, b, max_sums=0), both),
            ):
                found = (test(**clusters, **options).p > 0.05, test(**options).p > 0.05)
                quiet[name].append(found)
        for name, found in quiet.items():
            whole, singly = np.mean(found, axis=0)
            setting = f"{n_copies} copies of each of {n} words or pairs"
            yield row(f"{name}, no false alarm", n, setting, whole, standard=round(singly, 3))
    of, found = np.repeat(np.arange(40), 6), []
    for trial in range(n_trials):
        rng = np.random.default_rng(trial)
        z = _copies(rng, 40, 6, 8, noise=0.2)
        scores = _copies(rng, 40, 6, 1, noise=0.2)[:, 0]
        whole = clusters_left(z, scores, words=of, permutations=Resampling(500))
        found.append((whole.p > 0.05, clusters_left(z, scores).p > 0.05))
    whole, singly = np.mean(found, axis=0)
    name = "clusters after erasure, no false alarm"
    yield row(name, 40, "6 copies of each of 40 words", whole, standard=round(singly, 3))


def _copies(
    rng: np.random.Generator, n: int, n_copies: int, width: int, *, noise: float = 0.1
) -> np.ndarray:
    """Near copies of unrelated words."""
    words = np.repeat(rng.normal(size=(n, width)), n_copies, axis=0)
    return words + noise * rng.normal(size=words.shape)
