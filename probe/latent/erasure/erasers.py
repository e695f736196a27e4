"""Erasers that use pairs, and all erasers by their short names."""

from __future__ import annotations

from typing import Any

import numpy as np

from probe.arrays import Matrix, Vector
from probe.errors import DegenerateDataError
from probe.latent.erasure.affine import (
    AffineEraser,
    MeanGapEraser,
    mean_axes,
    pair_deviations,
    principal_axes,
)
from probe.latent.erasure.calibrated import shrinking_directions
from probe.latent.erasure.leace import LeaceEraser
from probe.latent.erasure.nullspace import NullspaceEraser


class HardDebiasEraser(AffineEraser):
    """Project embeddings off the subspace in which pairs, or group means, differ.

    With pairs, the subspace is spanned by the first principal components of the rows centred at
    the mean of their pair; without them, by the differences of group means. `transform`
    neutralises, ``x - strength * (x on the subspace)``, about the origin as published: a constant
    shift of the space matters. Lengths are not made 1 again; words are not equalised.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        The origin.
    probes_, moves_ : ndarray of shape (n_groups - 1, n_features)
        Orthonormal rows, the same in both: the subspace.

    References
    ----------
    Bolukbasi et al., *Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings*, NeurIPS 2016, section 6; for more than two groups Manzini et al., *Black is to
    Criminal as Caucasian is to Police*, NAACL 2019.
    """

    def fit(self, X: Matrix, y: Vector, *, pairs: Vector | None = None) -> HardDebiasEraser:
        """Learn the subspace.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Embeddings.
        y : ndarray of shape (n,)
            Group of each.
        pairs : ndarray of int, shape (n,), optional
            Pair (or triple, ...) of each row; a negative number is none.

        Raises
        ------
        DataError
            If no row has a partner, or nothing differs within pairs or between means.
        """
        rows, _, means, floor = self._checked(X, y)
        if pairs is None:
            basis = mean_axes(means, floor=floor)
        else:
            basis = principal_axes(pair_deviations(rows, pairs)[0], floor=floor)
        self.center_ = np.zeros(rows.shape[1])
        self.probes_ = self.moves_ = basis[: len(means) - 1]
        return self


class CalibratedEraser(AffineEraser):
    """The calibrated projection as an eraser of rows with groups, of any number of groups.

    `CalibratedProjection` takes aligned sides; this takes rows, their groups and their pairs.
    With the set S of all differences between two rows of a pair (or triple, ...), it applies
    ``P = (I + lam M)^-1``, ``M = mean of (z_i - z_j)(z_i - z_j)^T`` over S. Without pairs, the
    group means take the place of one pair. About the origin, as published.

    Parameters
    ----------
    strength : float, default=1.0
        Share of ``x - Px`` that is removed, from 0 (identity) to 1.
    lam : float, default=500.0
        Weight lambda of the pairs' distances; 0 is the identity.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        The origin.
    probes_ : ndarray of shape (rank, n_features)
        The directions of ``moves_``, each times the share that it shrinks by, in [0, 1).
    moves_ : ndarray of shape (rank, n_features)
        Orthonormal rows: the directions that shrink, strongest first.

    References
    ----------
    Chuang et al., *Debiasing Vision-Language Models via Biased Prompts*, arXiv 2302.00070.
    """

    def __init__(self, *, strength: float = 1.0, lam: float = 500.0) -> None:
        super().__init__(strength=strength)
        self.lam = lam

    def fit(self, X: Matrix, y: Vector, *, pairs: Vector | None = None) -> CalibratedEraser:
        """Learn the projection; arguments and errors are those of `HardDebiasEraser.fit`."""
        if not 0.0 <= self.lam < np.inf:
            raise ValueError(f"lam is {self.lam}; needed a finite number of at least 0")
        rows, _, means, floor = self._checked(X, y)
        self.center_ = np.zeros(rows.shape[1])
        if pairs is None:
            rows, pairs = means, np.zeros(len(means), dtype=int)
        deviations, codes, sizes = pair_deviations(rows, pairs)
        if np.linalg.norm(deviations, axis=1).max() <= floor:
            raise DegenerateDataError(
                f"the {len(deviations)} rows of all pairs, or the group means, equal each other; "
                "needed pairs that differ: check that both sides are not the same"
            )
        # sum_{i<j} (z_i - z_j)(z_i - z_j)^T = size * sum_i (z_i - mean)(z_i - mean)^T
        n_differences = (sizes * (sizes - 1)).sum() / 2
        weighted = np.sqrt(sizes[codes] / n_differences)[:, None] * deviations
        self.moves_, shrinkage = shrinking_directions(weighted, weight=self.lam)
        self.probes_ = shrinkage[:, None] * self.moves_
        return self


ERASERS: dict[str, type[Any]] = {
    "mean-gap": MeanGapEraser,
    "hard-debias": HardDebiasEraser,
    "inlp": NullspaceEraser,
    "leace": LeaceEraser,
    "calibrated": CalibratedEraser,
}
"""Every eraser by its short name; ``mean-gap`` takes two groups, the others any number."""
