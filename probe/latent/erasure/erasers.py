"""Every eraser by its short name, all with one contract: fit(X, y), transform(X), strength."""

from __future__ import annotations

from typing import Any

import numpy as np

from probe.arrays import Matrix, Vector
from probe.errors import DegenerateDataError
from probe.latent.erasure import MeanGapEraser, shrinking_directions
from probe.latent.erasure.affine import AffineEraser, pair_deviations
from probe.latent.erasure.harddebias import HardDebiasEraser
from probe.latent.erasure.leace import LeaceEraser
from probe.latent.erasure.nullspace import NullspaceEraser


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
    groups_ : ndarray of shape (n_groups,)
        Names of the groups, in order.
    center_ : ndarray of shape (n_features,)
        The origin.
    probes_ : ndarray of shape (rank, n_features)
        The directions of ``moves_``, each times the share that it shrinks by, in [0, 1).
    moves_ : ndarray of shape (rank, n_features)
        Orthonormal rows: the directions that shrink, strongest first.
    n_features_in_ : int
        Width of the embeddings.

    References
    ----------
    Chuang et al., *Debiasing Vision-Language Models via Biased Prompts*, arXiv 2302.00070.
    """

    def __init__(self, *, strength: float = 1.0, lam: float = 500.0) -> None:
        super().__init__(strength=strength)
        self.lam = lam

    def fit(self, X: Matrix, y: Vector, *, pairs: Vector | None = None) -> CalibratedEraser:
        """Learn the projection; the arguments are those of `HardDebiasEraser.fit`.

        Raises
        ------
        ValueError
            If an option is out of its range, or X and y are not what scikit-learn takes.
        ShapeError, DataError
            If there is not one pair number a row, or no row has a partner.
        DegenerateDataError
            If there are fewer than two groups, or nothing differs.
        """
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
