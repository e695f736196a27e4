"""How often each expert of an attribute is drawn, from what images made with each show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from math import prod
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.errors import ShapeError
from probe.text.attributes import Attribute


@dataclass(frozen=True, eq=False)
class MeasuredExperts:
    """What images made with each expert of an attribute, or of the cells of several, show."""

    n_values: tuple[int, ...]
    """Of each attribute. Of several, values and experts are those of their cells."""
    shares: Double
    """Shape (n_subjects, n_experts, n_values): of a subject's images with an expert, the share that
    show each value. The rest, if any, do not show the subject."""
    n_images: int
    """Images of each subject and expert."""

    def __post_init__(self) -> None:
        needed = (prod(self.n_values),) * 2
        if self.shares.shape[1:] != needed:
            raise ShapeError(f"measured shares are {self.shares.shape[1:]}; needed {needed}")

    @property
    def shrunk(self) -> Double:
        """The shares, with the differences between subjects shrunk by what is chance in them.

        Differences from the mean are multiplied by the square root of their reliability, ``1 - W /
        T``: T is the variance between subjects and W that of so few images, over all experts.
        """
        mean, n_others = self.shares.mean(axis=0), max(1, self.n_images - 1)
        within = (self.shares * (1 - self.shares)).sum() / n_others / len(self.shares)
        total = self.shares.var(axis=0, ddof=1).sum() if len(self.shares) > 1 else 0.0
        reliability = max(0.0, 1 - within / total) if total and self.n_images > 1 else 0.0
        shrunk: Double = mean + np.sqrt(reliability) * (self.shares - mean)
        return shrunk

    def draws(self, target: Double) -> Double:
        """Return the shares of the experts, (n_experts,), that bring all subjects to a target.

        They minimise ``sum_j |q A_j - t|^2`` over the simplex, with the `shrunk` shares A_j of
        subject j and the target t. As q has sum 1, this is the non-negative least-squares solution
        of ``(A_j - t)' q = 0, sum q = 1``, scaled to sum 1.
        """
        return _solve(self, tuple(target.tolist())).copy()

    def margin(self, is_kept: Sequence[bool]) -> MeasuredExperts:
        """Return those of some attributes, where the values are the cells of several.

        An expert is then the mean over all cells with its values of the attributes.
        """
        others, n = [axis for axis, kept in enumerate(is_kept) if not kept], len(self.n_values)
        shares = self.shares.reshape(len(self.shares), *self.n_values, *self.n_values)
        shares = shares.sum(axis=tuple(1 + n + axis for axis in others))
        shares = shares.mean(axis=tuple(1 + axis for axis in others))
        n_values = tuple(compress(self.n_values, is_kept))
        shares = shares.reshape(len(shares), prod(n_values), prod(n_values))
        n_images = self.n_images * self.shares.shape[1] // shares.shape[1]
        return MeasuredExperts(n_values, shares, n_images)

    def reached(self, target: Double) -> Double:
        """Return the mean share of each value with `draws`, (n_values,)."""
        return self.draws(target) @ self.shares.mean(axis=0)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)  # prompts have few targets
def _solve(experts: MeasuredExperts, target: tuple[float, ...]) -> Double:
    from scipy.optimize import nnls

    n_experts = experts.shares.shape[1]
    off = np.moveaxis(experts.shrunk - target, 1, 2).reshape(-1, n_experts)
    rows = np.vstack([off, np.ones(n_experts)])
    found, _ = nnls(rows, np.append(np.zeros(len(off)), 1.0))
    shares: Double = found / found.sum()
    return shares


def read_measured(
    data: Mapping[str, Mapping[str, Any]], attributes: Sequence[Attribute]
) -> dict[str, MeasuredExperts]:
    """Read, by attribute, the fields of measured experts that a correction was saved with."""
    found, needed = {}, tuple(len(attribute.values) for attribute in attributes)
    for name, of in data.items():
        if (n_values := tuple(of["n_values"])) != needed:
            raise ShapeError(f"experts of {n_values} values are measured; needed {needed}")
        shares = np.array(of["shares"], float)
        if not ((shares >= 0) & (shares <= 1)).all():  # nor NaN
            raise ShapeError("measured shares are not from 0 to 1")
        found[name] = MeasuredExperts(n_values, shares, int(of["n_images"]))
    return found
