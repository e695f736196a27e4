"""The calibrated projection, and the bias score of a prompt under it."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probe.arrays import Double, Matrix, Vector
from probe.errors import DegenerateDataError
from probe.latent.directions import BiasDirection, as_embeddings, as_pairs, as_vector, rounding


class CalibratedProjection(BaseEstimator):
    """Shrink the directions in which prompts equal but for gender differ.

    With ``M = mean_i (m_i - f_i)(m_i - f_i)^T`` and strength lambda, apply
    ``P = (I + lambda M)^-1``. P minimises ``||P - I||^2`` plus lambda times the mean squared
    distance of the projected pairs. It differs from I by a matrix of rank at most ``n_pairs``,
    which is what is stored: with the singular value decomposition ``D = U S V^T`` of the
    differences, ``P = I - V diag(lambda s^2 / (n + lambda s^2)) V^T``, so that no matrix of shape
    (n_features, n_features) is ever formed or inverted.

    Parameters
    ----------
    strength : float, default=500.0
        Lambda; 0 is the identity, and the larger it is, the more is removed.

    Attributes
    ----------
    basis_ : ndarray of shape (rank, n_features)
        Orthonormal rows: the directions that shrink, strongest first.
    shrinkage_ : ndarray of shape (rank,)
        Share of each row's component that is removed, in [0, 1).
    n_features_in_ : int
        Width of the embeddings.

    References
    ----------
    Chuang et al., *Debiasing Vision-Language Models via Biased Prompts*, arXiv 2302.00070,
    the calibrated projection matrix (closed form of the calibration loss).
    """

    def __init__(self, *, strength: float = 500.0) -> None:
        self.strength = strength

    def fit(self, male: Matrix, female: Matrix) -> CalibratedProjection:
        """Learn the projection from aligned rows, both of shape (n_pairs, n_features).

        Raises
        ------
        ValueError
            If ``strength`` is negative or not finite.
        DataError
            If the two sides are not pairs of finite embeddings, or are the same.
        """
        if not 0.0 <= self.strength < np.inf:
            raise ValueError(f"strength is {self.strength}; needed a finite number of at least 0")
        dtype = np.result_type(np.asarray(male), np.asarray(female))
        male, female = as_pairs(male, female)
        difference = male - female
        if np.linalg.norm(difference, axis=1).max() <= rounding(dtype, male, female):
            raise DegenerateDataError(
                f"the two prompts of all {len(male)} pairs have the same embedding; needed pairs "
                "that differ: check that both sides are not the same"
            )
        self.basis_, self.shrinkage_ = shrinking_directions(
            difference, weight=self.strength / len(difference)
        )
        self.n_features_in_ = male.shape[1]
        return self

    def removed(self, z: Matrix) -> Double:
        """Return what the projection removes, ``z - Pz``, shape (n, n_features)."""
        check_is_fitted(self, "basis_")
        z = as_embeddings(z, n_features=self.n_features_in_)
        coordinates = z @ self.basis_.T  # (n, rank)
        return (coordinates * self.shrinkage_) @ self.basis_

    def transform(self, z: Matrix) -> Double:
        """Return ``Pz`` of each row, shape (n, n_features); not normalised again."""
        return as_embeddings(z) - self.removed(z)


def shrinking_directions(rows: Double, *, weight: float) -> tuple[Double, Double]:
    """Return how ``(I + weight X^T X)^-1`` differs from I, without forming or inverting it.

    For rows X of shape (n, n_features), not all zero: orthonormal rows (rank, n_features), the
    directions that shrink, strongest first; and the share of each that is removed, in [0, 1).
    """
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    is_kept = singular > singular[0] * max(rows.shape) * np.finfo(np.float64).eps
    energy = weight * singular[is_kept] ** 2
    return basis[is_kept], energy / (1 + energy)


def bias_score(
    z: Matrix,
    direction: BiasDirection | Vector,
    projection: CalibratedProjection,
) -> Double:
    """Measure the gender bias of prompts: its side and its size.

    ``g(z) = <z - Pz, d>``: the part that the calibrated projection removes, on the bias axis.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings.
    direction : BiasDirection or ndarray of shape (n_features,)
        Unit bias axis d, positive = male.
    projection : CalibratedProjection
        Fitted P.

    Returns
    -------
    ndarray of shape (n,)
        In embedding units. Positive is male, negative female, relative to the embeddings' origin:
        subtract the score half-way between the groups to measure from there.

    Raises
    ------
    ShapeError
        If the widths differ.
    """
    vector = as_vector(direction)
    # P is symmetric: <z - Pz, d> = <z, d - Pd> needs no second matrix of the size of z.
    lever = projection.removed(vector[None])[0]  # (n_features,)
    result: Double = as_embeddings(z, n_features=projection.n_features_in_) @ lever
    return result
