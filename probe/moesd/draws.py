"""How often each expert of an attribute is drawn, from what images made with each show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.errors import ShapeError

STRENGTHS = (1.0, 2.0, 3.0)
"""Strengths at which each expert is measured; see `MeasuredExperts.weights`. Where several
attributes are corrected, whose experts are added, only at the first."""
RECOGNISED = 0.98


@dataclass(frozen=True, eq=False)
class MeasuredExperts:
    """What images made with each variant of an attribute's experts show."""

    strengths: tuple[float, ...]
    shares: Double
    """Shape (n_subjects, n_variants, n_values): of a subject's images with a variant, the share
    that show each value. The rest, if any, do not show the subject."""
    n_images: int
    """Images of each subject and variant."""

    def __post_init__(self) -> None:
        _, n_variants, n_values = self.shares.shape
        if n_variants != len(self.strengths) * n_values:
            raise ShapeError(f"there are {n_variants} variants of {n_values} experts")

    @property
    def weights(self) -> Double:
        """Weights of the experts in each variant, (n_variants, n_values), a row a variant.

        A variant is the expert k at a strength s: ``s`` times its shift, less ``s - 1`` times the
        mean shift of all experts, so that only what distinguishes a value is enlarged. Those of one
        strength follow one another.
        """
        n = self.shares.shape[2]
        return np.concatenate([s * np.eye(n) - (s - 1) / n for s in self.strengths])

    @property
    def shrunk(self) -> Double:
        """The shares, with the differences between subjects shrunk by what is chance in them.

        Differences from the mean are multiplied by the square root of their reliability, ``1 - W /
        T``: T is the variance between subjects and W that of so few images, over all variants.
        """
        mean, n_others = self.shares.mean(axis=0), max(1, self.n_images - 1)
        within = (self.shares * (1 - self.shares)).sum() / n_others / len(self.shares)
        total = self.shares.var(axis=0, ddof=1).sum() if len(self.shares) > 1 else 0.0
        reliability = max(0.0, 1 - within / total) if total and self.n_images > 1 else 0.0
        shrunk: Double = mean + np.sqrt(reliability) * (self.shares - mean)
        return shrunk

    def draws(self, target: Double) -> Double:
        """Return the shares of the variants, (n_variants,), that bring all subjects to a target.

        They minimise ``sum_j |q A_j - t|^2`` over the simplex, with the `shrunk` shares A_j of
        subject j and the target t. As q has sum 1, this is the non-negative least-squares solution
        of ``(A_j - t)' q = 0, sum q = 1``, scaled to sum 1. A variant whose images show their
        subject less often than `RECOGNISED` times those of its expert at the first strength is not
        drawn.
        """
        return _solve(self, tuple(target.tolist())).copy()

    def margin(self, n_values: Sequence[int], is_kept: Sequence[bool]) -> MeasuredExperts:
        """Return those of some attributes, where the values are the cells of several.

        A variant is then the mean over the experts of all cells with its values.
        """
        others = [axis for axis, kept in enumerate(is_kept) if not kept]
        shares = self.shares.reshape(len(self.shares), *n_values, *n_values)
        shares = shares.sum(axis=tuple(1 + len(n_values) + axis for axis in others))
        shares = shares.mean(axis=tuple(1 + axis for axis in others))
        n = int(np.prod(np.compress(is_kept, n_values)))
        n_images = self.n_images * int(np.prod(n_values)) // n
        return MeasuredExperts(self.strengths, shares.reshape(-1, n, n), n_images)

    def reached(self, target: Double) -> Double:
        """Return the mean share of each value with `draws`, (n_values,)."""
        return self.draws(target) @ self.shares.mean(axis=0)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)  # prompts have few targets
def _solve(experts: MeasuredExperts, target: tuple[float, ...]) -> Double:
    from scipy.optimize import nnls

    recognised = experts.shares.sum(axis=2).mean(axis=0).reshape(len(experts.strengths), -1)
    drawn = (recognised >= RECOGNISED * recognised[0]).ravel()
    off = np.moveaxis(experts.shrunk - target, 1, 2)[..., drawn].reshape(-1, drawn.sum())
    rows = np.vstack([off, np.ones(drawn.sum())])
    found, _ = nnls(rows, np.append(np.zeros(len(off)), 1.0))
    shares = np.zeros(drawn.size)
    shares[drawn] = found / found.sum()
    return shares


def read_measured(data: Mapping[str, Mapping[str, Any]]) -> dict[str, MeasuredExperts]:
    """Read, by attribute, the fields of measured experts that a correction was saved with."""
    return {
        name: MeasuredExperts(tuple(of["strengths"]), np.array(of["shares"], float), of["n_images"])
        for name, of in data.items()
    }
