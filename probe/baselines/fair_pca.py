"""FairPCA on the prompt embedding, with one group's part added back at random (FairImagen)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from probe.arrays import Double, Float32
from probe.baselines.method import BASELINES, Material, Method
from probe.baselines.states import RandomSide, edited, explicit_states
from probe.baselines.words import SIDES
from probe.errors import DegenerateDataError
from probe.images.intervention import Condition


class FairPCA:
    """The directions of most variance along which two groups have equal means.

    With z the centred group labels and X the centred rows, U maximises ``trace(U^T X^T X U)``
    among orthonormal U with ``z^T X U = 0``: principal components in the null space of ``X^T z``.

    ``kept`` is the share of the dimensions that is kept, above 0 and below 1. `fit` finds
    ``center_``, the mean of all rows, ``basis_``, orthonormal rows of shape (n_kept, n_features),
    and ``removed_means_``, (2, n_features): what is removed from the means of the groups 0 and 1.

    Kleindessner, Donini, Russell, Zafar, *Efficient fair PCA for fair representation learning*,
    AISTATS 2023, section 3.
    """

    def __init__(self, *, kept: float = 0.78) -> None:
        self.kept = kept

    def fit(self, X: Float32, y: Double) -> FairPCA:
        """Learn the subspace from rows of shape (n, n_features) and their groups 0 and 1."""
        self.center_: Double = X.mean(axis=0, dtype=np.float64)
        centered = X - self.center_
        gap = centered[y == 1].mean(axis=0) - centered[y == 0].mean(axis=0)
        if not (length := np.linalg.norm(gap)) > 1e-12 * np.abs(X).max():
            raise DegenerateDataError("group means coincide: there is no gap to remove")
        # an orthonormal basis of the orthogonal complement of the gap
        null = np.linalg.qr(np.column_stack([gap / length, np.eye(len(gap))]))[0][:, 1:]
        _, axes = np.linalg.eigh(null.T @ (centered.T @ centered) @ null)  # ascending
        n_kept = min(max(1, round(self.kept * len(gap))), null.shape[1])
        self.basis_: Double = (null @ axes[:, -n_kept:]).T
        means = np.stack([centered[y == group].mean(axis=0) for group in (0, 1)])
        self.removed_means_: Double = means - means @ self.basis_.T @ self.basis_
        return self

    def transform(self, X: Float32) -> Double:
        """Return ``center + U U^T (x - center)`` of each row."""
        projected: Double = self.center_ + (X - self.center_) @ self.basis_.T @ self.basis_
        return projected


class FairImagen(RandomSide):
    """Project every state by FairPCA, and add one group's mean of the removed part.

    The group is drawn from the image's seed, with equal probability. ``pca`` was fitted with
    the male group as 1.
    """

    name = "fair-pca"

    def __init__(self, pca: FairPCA) -> None:
        self._pca = pca

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Project all states, then add the mean of each condition's group."""
        projected = edited(states, self._pca.transform)
        means = dict(zip(SIDES, self._pca.removed_means_, strict=True))
        added = np.stack([means[of.route] for of in conditions])
        projected[:, 1:] += torch.from_numpy(added).to(projected)[:, None]
        return projected


@BASELINES.register("fair-pca")
def build(material: Material) -> Method:
    """Fit FairPCA on the states of explicit prompts.

    Fu et al., *FairImagen: Post-Processing for Bias Mitigation in Text-to-Image Models*, NeurIPS
    2025: FairPCA on the prompt embedding and empirical noise in the removed part. The paper draws
    that part from samples; here it is a group's mean. We fit on the states of all positions, and
    keep the share of dimensions of its published setting (600 of 768).
    """
    pca = FairPCA().fit(*explicit_states(material))
    n_weights = int(pca.basis_.size + pca.center_.size + pca.removed_means_.size)
    return Method(FairImagen(pca), n_trainable=n_weights)
