"""Intervals of how two sets of pictures lie: KID, CMMD, FID, and how they lie in each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from covering import N, held, row
from probe.images.quality.frechet import fid
from probe.images.quality.kid import cmmd, kid
from probe.images.quality.manifold import ManifoldFigures, manifold_figures

WIDTH = 8
"""Features of a picture."""


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Equal sets, sets a standard deviation apart, and pairs that start from equal noise."""
    for shift in (0.0, 0.5):
        for is_paired in (False, True):
            told = f"{WIDTH} features, shift {shift}{', paired' if is_paired else ''}"
            true = {"KID": _kid_truth(shift), "CMMD": _cmmd_truth(shift)}
            for n in N:
                rng = np.random.default_rng([n, round(10 * shift), is_paired])
                hits = {"KID": 0, "CMMD": 0}
                drawn = []
                for trial in range(n_trials):
                    a, b = _sets(rng, n, shift, is_paired)
                    for name, of in (("KID", kid), ("CMMD", cmmd)):
                        found = of(a, b, is_paired=is_paired, seed=trial)
                        hits[name] += found.low <= true[name] <= found.high
                    drawn.append(fid(a, b))
                for name, count in hits.items():
                    yield row(name, n, told, count / n_trials)
                yield row("FID, at as many pictures", n, told, held(drawn))
    yield from manifold(n_trials)


def manifold(n_trials: int) -> Iterator[dict[str, Any]]:
    """Precision, recall, density and coverage, as they are on average at as many pictures."""
    for shift in (0.0, 0.5, 1.0, 1.5):
        for is_paired in (False, True):
            told = f"{WIDTH} features, shift {shift}{', paired' if is_paired else ''}"
            for n in N:
                rng = np.random.default_rng([n, round(10 * shift), is_paired])
                drawn = [
                    manifold_figures(*_sets(rng, n, shift, is_paired)) for _ in range(n_trials)
                ]
                for field in fields(ManifoldFigures):
                    found = [getattr(of, field.name) for of in drawn]
                    yield row(f"{field.name}, at as many pictures", n, told, held(found))


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


def _cmmd_truth(shift: float) -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(1_000_000, WIDTH)) for _ in range(2))

    def mean(x: np.ndarray, y: np.ndarray) -> float:
        x, y = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in (x, y))
        return 1000 * float(np.exp((np.einsum("ij,ij->i", x, y) - 1) / 100).mean())

    moved = a + shift, b + shift
    return 0.0 if shift == 0.0 else mean(a, b) + mean(*moved) - 2 * mean(a, moved[1])
