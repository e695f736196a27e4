"""How often each expert of an attribute is drawn, from what images made with each show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, permutations, product
from math import prod
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.errors import ShapeError
from probe.text.attributes import AND, Attribute

CONTRASTS: tuple[float, ...] = ()
"""How far beyond the expert of a value variants go, away from that of each other value. At 1, the
subject is lost where the experts were not trained (docs/attributes.md)."""
RECOGNISED = 0.98


def variants_of(
    values: Sequence[str], contrasts: Sequence[float]
) -> tuple[tuple[str, ...], Double]:
    """Name the variants of an attribute's experts, with their weights, (n_variants, n_values).

    First come the experts themselves; then, of an attribute of more than two values, each expert k
    away from each other l: its shift, and a contrast ``c`` times what it is more than that of l.

    >>> names, weights = variants_of(["young", "adult", "old"], [0.5])
    >>> names[:4]
    ('young', 'adult', 'old', 'young-over-adult-0.5')
    >>> weights[3].tolist()
    [1.5, -0.5, 0.0]
    """
    names, rows, own = [*values], [*np.eye(len(values))], np.eye(len(values))
    for contrast in contrasts if len(values) > 2 else ():
        for k, other in permutations(range(len(values)), 2):
            names.append(f"{values[k]}-over-{values[other]}-{contrast:g}")
            rows.append(own[k] + contrast * (own[k] - own[other]))
    return tuple(names), np.stack(rows)


def variant_weights(n_values: Sequence[int], contrasts: Sequence[float]) -> Double:
    """Weights of the experts in each variant of several attributes: one of each attribute's."""
    found: Double = np.ones((1, 1))
    for n in n_values:
        found = np.kron(found, variants_of([""] * n, contrasts)[1]).astype(np.float64)
    return found


def _count(n_values: int, contrasts: Sequence[float]) -> int:
    return n_values + (len(contrasts) * n_values * (n_values - 1) if n_values > 2 else 0)


@dataclass(frozen=True, eq=False)
class MeasuredExperts:
    """What images made with each variant of the experts of attributes show."""

    n_values: tuple[int, ...]
    """Of each attribute. Of several, values are cells, and variants are one of each attribute."""
    contrasts: tuple[float, ...]
    """See `variants_of`."""
    shares: Double
    """Shape (n_subjects, n_variants, n_values): of a subject's images with a variant, the share
    that show each value. The rest, if any, do not show the subject."""
    n_images: int
    """Images of each subject and variant."""

    def __post_init__(self) -> None:
        # Counted, since the numbers of a stranger's file may be large.
        needed = prod(_count(n, self.contrasts) for n in self.n_values), prod(self.n_values)
        if self.shares.shape[1:] != needed:
            raise ShapeError(f"measured shares are {self.shares.shape[1:]}; needed {needed}")

    @property
    def weights(self) -> Double:
        """Weights of the experts in each variant, (n_variants, n_values)."""
        return variant_weights(self.n_values, self.contrasts)

    def names(self, attributes: Sequence[Attribute]) -> list[str]:
        """Name the variants; the attributes are those that were measured."""
        each = (variants_of([*of.values], self.contrasts)[0] for of in attributes)
        return [f"toward-{AND.join(names)}" for names in product(*each)]

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
        subject less often than `RECOGNISED` times those of its expert itself is not drawn.
        """
        return _solve(self, tuple(target.tolist())).copy()

    def margin(self, is_kept: Sequence[bool]) -> MeasuredExperts:
        """Return those of some attributes, where the values are the cells of several.

        A variant is then the mean over all cells with its variants of the attributes.
        """
        others = [axis for axis, kept in enumerate(is_kept) if not kept]
        n_variants = [_count(n, self.contrasts) for n in self.n_values]
        shares = self.shares.reshape(len(self.shares), *n_variants, *self.n_values)
        shares = shares.sum(axis=tuple(1 + len(n_variants) + axis for axis in others))
        shares = shares.mean(axis=tuple(1 + axis for axis in others))
        n_values = tuple(compress(self.n_values, is_kept))
        shares = shares.reshape(len(shares), -1, prod(n_values))
        n_images = self.n_images * self.shares.shape[1] // shares.shape[1]
        return MeasuredExperts(n_values, self.contrasts, shares, n_images)

    def reached(self, target: Double) -> Double:
        """Return the mean share of each value with `draws`, (n_values,)."""
        return self.draws(target) @ self.shares.mean(axis=0)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)  # prompts have few targets
def _solve(experts: MeasuredExperts, target: tuple[float, ...]) -> Double:
    from scipy.optimize import nnls

    recognised, weights = experts.shares.sum(axis=2).mean(axis=0), experts.weights
    of_expert = recognised[(weights == 1).any(axis=1) & ((weights != 0).sum(axis=1) == 1)]
    drawn = recognised >= RECOGNISED * of_expert[weights.argmax(axis=1)]
    off = np.moveaxis(experts.shrunk - target, 1, 2)[..., drawn].reshape(-1, drawn.sum())
    rows = np.vstack([off, np.ones(drawn.sum())])
    found, _ = nnls(rows, np.append(np.zeros(len(off)), 1.0))
    shares = np.zeros(drawn.size)
    shares[drawn] = found / found.sum()
    return shares


def read_measured(
    data: Mapping[str, Mapping[str, Any]], attributes: Sequence[Attribute]
) -> dict[str, MeasuredExperts]:
    """Read, by attribute, the fields of measured experts that a correction was saved with."""
    found, needed = {}, tuple(len(attribute.values) for attribute in attributes)
    for name, of in data.items():
        n_values, contrasts = tuple(of["n_values"]), tuple(map(float, of["contrasts"]))
        if n_values != needed or not all(0 < contrast <= 1 for contrast in contrasts):
            raise ShapeError(f"experts of {n_values} values are measured, at contrasts {contrasts}")
        shares = np.array(of["shares"], float)
        if not ((shares >= 0) & (shares <= 1)).all():  # nor NaN
            raise ShapeError("measured shares are not from 0 to 1")
        found[name] = MeasuredExperts(n_values, contrasts, shares, int(of["n_images"]))
    return found
