"""How many images of a prompt each expert makes, and how many the base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from math import prod
from typing import Any, NamedTuple

import numpy as np

from probe.arrays import Double
from probe.errors import ShapeError
from probe.text.attributes import Attribute

_OF_CHANGED = 0.003
"""What it costs to change images of the base model, beside squared distances from the target: the
square of their share, times this. Our choice (docs/attributes.md)."""


class BaseShares(NamedTuple):
    """What the base model shows under a prompt."""

    shares: Double
    """Of each value, shape (n_values,)."""
    variance: float
    """Sum over the values of the squared standard errors."""

    @classmethod
    def counted(cls, counts: Double) -> BaseShares:
        """Estimate them from how many images show each value, (n_values,).

        One image more is divided equally among the values, so that no share is 0 or 1.
        """
        n = counts.sum()
        shares = (counts + 1 / counts.size) / (n + 1)
        return cls(shares, float((shares * (1 - shares)).sum() / n))


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
        subject j and the target t.
        """
        return _solve(self, tuple(target.tolist())).copy()

    def beside(self, base: BaseShares, target: Double, *, strength: float = 1.0) -> Double:
        """Return the shares of the base model and of the experts, (1 + n_experts,), for a prompt.

        They minimise the expectation of ``sum_j |q_0 b + q A_j - w|^2 + J c (1 - q_0)^2`` over the
        simplex, with the base model's shares b under the prompt, the wanted ones ``w = (1 - s) b +
        s t`` at strength s, and `_OF_CHANGED` for c. The variance v of b adds ``J v (q_0 - 1 +
        s)^2``. So of draws that come about as near to the target, those are taken that leave the
        most images to the base model, and fewer where little is known of it.
        """
        wanted, n_subjects = (1 - strength) * base.shares + strength * target, len(self.shares)
        off = np.column_stack([np.tile(base.shares - wanted, n_subjects), self._off(wanted)])
        changed = np.arange(off.shape[1]) > 0
        of_base = np.where(changed, strength - 1, strength)
        costs = np.sqrt([[base.variance], [_OF_CHANGED]]) * [of_base, changed]
        return _nearest(np.vstack([off, np.sqrt(n_subjects) * costs]))

    def _off(self, target: Double) -> Double:
        """How far each value of each subject is from a target with each expert, (n, n_experts)."""
        return np.moveaxis(self.shrunk - target, 1, 2).reshape(-1, self.shares.shape[1])

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
    return _nearest(experts._off(np.array(target)))


def _nearest(rows: Double) -> Double:
    """Minimise ``|rows q|^2`` over the simplex.

    It is the non-negative least-squares solution of ``rows q = 0, sum q = 1``, scaled to sum 1.
    """
    from scipy.optimize import nnls

    found, _ = nnls(np.vstack([rows, np.ones(rows.shape[1])]), np.eye(len(rows) + 1)[-1])
    shares: Double = found / found.sum()
    return shares


def full_allocation(target: Double, *, strength: float = 1.0) -> Double:
    """Allocate a share s of a prompt's images to experts: ``(1 - s, s t_1, ..., s t_K)``.

    If each expert always produces its value, the resulting shares are ``(1 - s) q + s t``, whatever
    the base model's shares q. The target t has shape (K,) and sum 1.
    """
    return np.concatenate([[1 - strength], strength * target])


def minimal_allocation(target: Double, base: Double, *, strength: float = 1.0) -> Double:
    """Allocate to experts only the images that the base model's shares q lack.

    The wanted shares are ``w = (1 - s) q + s t``. The base model keeps the largest part that
    exceeds no wanted share, ``u = min_k w_k / q_k``, and expert k produces ``w_k - u q_k``. For
    K = 2 only one expert gets images. An error in q enters the result times u.
    """
    if target.shape != base.shape:
        raise ShapeError(
            f"the target has {target.size} shares and the base {base.size}; needed one per value"
        )
    wanted = (1 - strength) * base + strength * target
    is_drawn = base > 1e-9  # the inverse of a smaller share may be infinite
    kept = min(1.0, float((wanted[is_drawn] / base[is_drawn]).min()))
    of_experts = np.clip(wanted - kept * base, 0.0, None)
    # Rounding may make the experts' sum a little more than 1.
    return np.concatenate([[max(0.0, 1 - of_experts.sum())], of_experts])


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
