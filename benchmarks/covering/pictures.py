"""Intervals of distances between two sets of pictures: KID and the Fréchet drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from covering import N, held, row
from probe.images.quality.frechet import frechet_drift
from probe.images.quality.kid import kid

WIDTH = 8
"""Features of a picture."""


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Equal sets, sets a standard deviation apart, and pairs that start from equal noise."""
    for shift in (0.0, 0.5):
        for is_paired in (False, True):
            name = f"{WIDTH} features, shift {shift}{', paired' if is_paired else ''}"
            true = _kid_truth(shift)
            for n in N:
                rng = np.random.default_rng([n, round(10 * shift), is_paired])
                kernels, drifts = [], []
                for trial in range(n_trials):
                    a, b = _sets(rng, n, shift, is_paired)
                    kernels.append(kid(a, b, is_paired=is_paired, seed=trial))
                    drifts.append(frechet_drift(a, b, range(n)))
                hits = sum(found.low <= true <= found.high for found in kernels)
                yield row("KID", n, name, hits / n_trials)
                yield row("Fréchet drift, at as many images", n, name, held(drifts))
    for size in (5, 20):
        yield from copies(n_trials, size)


def copies(n_trials: int, size: int) -> Iterator[dict[str, Any]]:
    """Pairs of subjects whose pictures are near copies, `size` of each."""
    for n in N[:2]:
        rng, kernels, drifts = np.random.default_rng([n, size]), [], []
        subjects = np.repeat(np.arange(n), size)
        of = {"subjects_a": subjects, "subjects_b": subjects, "is_paired": True}
        for trial in range(n_trials):
            base, after = (
                np.repeat(side, size, axis=0) + rng.normal(0, 0.1, (n * size, WIDTH))
                for side in _sets(rng, n, 0.5, is_paired=True)
            )
            kernels.append(kid(base, after, seed=trial, **of))
            drifts.append(frechet_drift(base, after, subjects))
        name = f"{size} near copies a subject, shift 0.5, paired"
        yield row("KID, at as many images", n, name, held(kernels))
        yield row("Fréchet drift, at as many images", n, name, held(drifts))


def _sets(
    rng: np.random.Generator, n: int, shift: float, is_paired: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Features of two sets; of pairs, 0.8 of the variance is common."""
    common = rng.normal(size=(n, WIDTH)) if is_paired else 0.0
    keep = np.sqrt(0.2) if is_paired else 1.0
    a, b = (np.sqrt(0.8) * common + keep * rng.normal(size=(n, WIDTH)) for _ in range(2))
    return a, b + shift


def _kid_truth(shift: float) -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(1_000_000, WIDTH)) for _ in range(2))
    moved = a + shift, b + shift

    def mean(x: np.ndarray, y: np.ndarray) -> float:
        return float(((np.einsum("ij,ij->i", x, y) / WIDTH + 1) ** 3).mean())

    return 0.0 if shift == 0.0 else mean(a, b) + mean(*moved) - 2 * mean(a, moved[1])
