"""Iterative nullspace projection: remove one classifier after another."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix, Vector
from probe.latent.directions.estimators import fit_logistic
from probe.latent.erasure.affine import AffineEraser, mean_axes
from probe.latent.labels import Codes

_TOLERANCE = 0.01  # balanced accuracy above that of guessing that counts as none
_NO_WEIGHT = 1e-6  # for rows of unit spread; the solver stops within 1e-8 of the optimum


class NullspaceEraser(AffineEraser):
    """Train a linear classifier of the groups, project its weights away, and train again (INLP).

    Each round fits one logistic regression a group (one in all for two groups) to what is left,
    and adds the weights to the subspace to be removed. Groups weigh the same, however many rows
    they have, and accuracy is balanced: the mean over groups of the share of rows that are named
    correctly. Rounds end when it is that of guessing. The projection is orthogonal: it costs one
    dimension a classifier, where `LeaceEraser` needs one a group.

    Parameters
    ----------
    strength : float, default=1.0
        Share of the edit that is made, from 0 (identity) to 1.
    max_rounds : int, default=20
        Rounds at most: where there are fewer rows than dimensions, some classifier may stay better
        than guessing on the fitted rows.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Mean of all rows; it does not move. The paper projects about the origin instead, which
        moves all rows by one more constant.
    probes_, moves_ : ndarray of shape (rank, n_features)
        Orthonormal rows, the same in both: the directions that are removed.
    accuracies_ : ndarray of shape (n_rounds,)
        Balanced accuracy of the classifiers of each round on the fitted rows, the last being that
        of what is left. It has ``max_rounds + 1`` entries if the rounds ran out.

    References
    ----------
    Ravfogel, Elazar, Gonen, Twiton, Goldberg, *Null It Out: Guarding Protected Attributes by
    Iterative Nullspace Projection*, ACL 2020, algorithm 1.
    """

    def __init__(self, *, strength: float = 1.0, max_rounds: int = 20) -> None:
        super().__init__(strength=strength)
        self.max_rounds = max_rounds

    def fit(self, X: Matrix, y: Vector) -> NullspaceEraser:
        """Learn the subspace from embeddings of shape (n, n_features) and the group of each.

        Raises
        ------
        ValueError
            If an option is out of its range.
        DegenerateDataError
            If there are fewer than two groups, or their means coincide.
        """
        if self.max_rounds < 1:
            raise ValueError(f"max_rounds is {self.max_rounds}; needed at least 1")
        rows, codes, means, floor = self._checked(X, y)
        mean_axes(means, floor=floor)  # refuses means that coincide
        self.center_ = rows.mean(axis=0)
        rows -= self.center_
        frame = np.eye(rows.shape[1])
        if len(rows) < rows.shape[1]:
            # the penalty keeps the weights within the span of the rows, which is smaller
            frame = np.linalg.svd(rows, full_matrices=False)[2]
            rows = rows @ frame.T
        left = rows
        basis = np.empty((0, rows.shape[1]))
        accuracies = []
        while True:
            weights, accuracy = self._classify(left, codes, floor)
            accuracies.append(accuracy)
            if accuracy <= 1 / len(self.groups_) + _TOLERANCE or len(accuracies) > self.max_rounds:
                break
            # again orthonormal as a whole, so that rounding does not pile up over the rounds
            basis = _orthonormal(np.concatenate([basis, weights]))
            left = rows - (rows @ basis.T) @ basis
        self.probes_ = self.moves_ = basis @ frame
        self.accuracies_: Double = np.array(accuracies)
        return self

    def _classify(self, left: Double, codes: Codes, floor: float) -> tuple[Double, float]:
        """Unit weights, one row a classifier that has any, and their accuracy."""
        n_groups = len(self.groups_)
        if np.abs(left).max() <= floor:
            return np.empty((0, left.shape[1])), 1 / n_groups
        members = range(1 if n_groups == 2 else 0, n_groups)
        width = self.n_features_in_
        found = [fit_logistic(left, codes == m, n_features=width) for m in members]
        weights, scores = (np.stack(parts) for parts in zip(*found, strict=True))
        # means that coincide leave only the solver's rounding: naming by the intercept alone
        is_none = np.linalg.norm(weights, axis=1) < _NO_WEIGHT
        scores[is_none] = scores[is_none].mean(axis=1, keepdims=True)  # (n_classifiers, n)
        named = scores.argmax(axis=0) if n_groups > 2 else scores[0] > 0.0
        right = np.bincount(codes, weights=named == codes) / np.bincount(codes)
        return _orthonormal(weights[~is_none]), float(right.mean())


def _orthonormal(weights: Double) -> Double:
    if not len(weights):
        return weights
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    _, singular, basis = np.linalg.svd(weights / lengths, full_matrices=False)
    kept: Double = basis[singular > _NO_WEIGHT]
    return kept
