"""Least-squares concept erasure: no linear probe finds the groups, and rows move least."""

from __future__ import annotations

import numpy as np

from probe.arrays import Matrix, Vector
from probe.latent.directions.covariance import estimated_shrinkage, solve_covariance
from probe.latent.erasure.affine import AffineEraser, mean_axes


class LeaceEraser(AffineEraser):
    """Make the means of all groups coincide while moving the rows as little as possible.

    With Q an orthonormal basis of the centred group means and S the covariance of all rows,
    ``r(x) = x - Q (Q^T S^-1 Q)^-1 Q^T S^-1 (x - mean)``. This equals the published
    ``x - W^+ P W (x - mean)``, W being the whitening matrix and P the projector on the whitened
    cross-covariance, without ever forming W. Of all affine maps after which the means coincide
    it is the one that moves the rows least in the mean square, whatever quadratic form measures
    the move. That the means coincide is the same as that no linear classifier, under any convex
    loss, does better than one that ignores the row.

    It is the successor of R-LACE (Ravfogel et al., *Linear Adversarial Concept Erasure*, ICML
    2022), whose relaxed game searches by gradient steps for an orthogonal projection with the same
    aim, and reaches it up to a tolerance.

    Where S has no inverse (no more rows than dimensions), it is shrunk, see `estimated_shrinkage`:
    the means of the fitted rows still coincide.

    Parameters
    ----------
    strength : float, default=1.0
        Share of the edit that is made; the gaps between the means shrink by ``1 - strength``.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Mean of all rows; it does not move.
    probes_, moves_ : ndarray of shape (rank, n_features)
        Functionals of a row, and the directions in which it moves; rank at most n_groups - 1.
    shrinkage_ : float
        Share s of ``(1 - s) S + s mu I``; 0 where S has an inverse.

    References
    ----------
    Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff, Biderman, *LEACE: Perfect linear concept
    erasure in closed form*, NeurIPS 2023, theorems 3.1 and 4.3.
    """

    def fit(self, X: Matrix, y: Vector) -> LeaceEraser:
        """Learn the map from embeddings of shape (n, n_features) and the group of each.

        Raises
        ------
        ValueError
            If ``strength`` is outside [0, 1].
        DegenerateDataError
            If there are fewer than two groups, or their means coincide.
        """
        rows, _, means, floor = self._checked(X, y)
        basis = mean_axes(means, floor=floor)  # (rank, n_features)
        self.center_ = rows.mean(axis=0)
        centered = rows - self.center_
        is_singular = len(centered) <= centered.shape[1]  # centring costs one dimension
        self.shrinkage_ = estimated_shrinkage(centered) if is_singular else 0.0
        whitened = solve_covariance(centered, basis.T, shrinkage=self.shrinkage_)
        self.probes_ = np.asarray(np.linalg.solve(basis @ whitened, whitened.T), dtype=np.float64)
        self.moves_ = basis
        return self
