"""Linear erasers as affine maps that move rows along a few directions; the mean gap eraser."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from probe.arrays import Double, Mask, Matrix, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import rounding
from probe.latent.labels import Codes, Names, as_codes, group_means


class AffineEraser(TransformerMixin, BaseEstimator, ABC):
    """Erase a concept from embeddings by ``x - strength * (x - center_) @ probes_.T @ moves_``.

    Parameters
    ----------
    strength : float, default=1.0
        Share of the edit that is made, from 0 (identity) to 1 (all of it).

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        Names of the groups, in order.
    center_ : ndarray of shape (n_features,)
        A point that does not move.
    probes_ : ndarray of shape (rank, n_features)
        Functionals of a row.
    moves_ : ndarray of shape (rank, n_features)
        Directions in which a row moves, one for each of them.
    n_features_in_ : int
        Width of the embeddings.
    """

    groups_: Names
    center_: Double
    probes_: Double
    moves_: Double
    n_features_in_: int

    def __init__(self, *, strength: float = 1.0) -> None:
        self.strength = strength

    @abstractmethod
    def fit(self, X: Matrix, y: Vector) -> AffineEraser:
        """Learn what to erase from embeddings of shape (n, n_features) and their groups."""

    def transform(self, X: Matrix) -> Matrix:
        """Return the edited rows, of the same shape and, if it is float32 or float64, type."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        edit = ((X - self.center_) @ self.probes_.T) @ self.moves_
        edited: Matrix = (X - self.strength * edit).astype(X.dtype, copy=False)
        return edited

    def _checked(self, X: Matrix, y: Vector) -> tuple[Double, Codes, Double, float]:
        """Rows in double precision, the code of each, the group means, and the rounding floor."""
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength is {self.strength}; needed a number from 0 to 1")
        dtype = getattr(X, "dtype", np.float64)  # float16 is raised, but rounds as it came
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        floor = rounding(dtype, X)
        rows = X.astype(np.float64)
        codes, self.groups_ = as_codes(y, n_rows=len(rows), name="y")
        if len(self.groups_) < 2:
            raise DegenerateDataError(f"all rows are of the group {y[0]!s}; needed 2 groups")
        return rows, codes, group_means(rows, codes), floor

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class MeanGapEraser(AffineEraser):
    """Remove the direction that joins two group means.

    Attributes
    ----------
    direction_ : ndarray of shape (n_features,)
        Unit vector from the mean of the first group to that of the second.
    center_ : ndarray of shape (n_features,)
        Midpoint of the two means; points on it do not move.
    probes_, moves_ : ndarray of shape (1, n_features)
        The direction.
    gap_ : float
        Distance between the means before erasure, in embedding units.
    """

    def fit(self, X: Matrix, y: Vector) -> MeanGapEraser:
        """Learn the gap from embeddings of shape (n, n_features) and the group of each.

        Raises
        ------
        ValueError
            If ``strength`` is outside [0, 1] or there are more than two groups.
        DegenerateDataError
            If there is one group, or the two means coincide.
        """
        _, _, means, floor = self._checked(X, y)
        if len(means) != 2:
            raise ValueError(f"y has the groups {self.groups_.tolist()}; needed two")
        self.gap_ = float(np.linalg.norm(means[1] - means[0]))
        if self.gap_ <= floor:
            raise DegenerateDataError("group means coincide: nothing to erase")
        self.direction_: Vector = (means[1] - means[0]) / self.gap_
        self.center_ = means.mean(axis=0)
        self.probes_ = self.moves_ = self.direction_[None]
        return self


def mean_axes(means: Double, *, floor: float) -> Double:
    """Return orthonormal axes, shape (rank, n_features), that span the differences of means."""
    return principal_axes(means - means.mean(axis=0), floor=floor)


def principal_axes(deviations: Double, *, floor: float) -> Double:
    """Return orthonormal axes in which deviations vary, those in which they vary most first.

    Deviations that are only rounding are refused.
    """
    if np.linalg.norm(deviations, axis=1).max() <= floor:
        raise DegenerateDataError(
            f"the {len(deviations)} group means, or the rows of all pairs, coincide; needed groups "
            "and pairs that differ: check that both sides are not the same"
        )
    _, singular, basis = np.linalg.svd(deviations, full_matrices=False)
    own = singular[0] * max(deviations.shape) * np.finfo(np.float64).eps
    kept: Double = basis[singular > max(floor, own)]
    return kept


def pair_codes(pairs: Vector, *, n_rows: int) -> tuple[Mask, Codes, Codes]:
    """Find the rows that have a partner.

    Rows with one number are equal but for the group; a negative number is no pair. Returns which
    rows have a partner (n_rows,), the pair of each of them numbered from 0, and the sizes of the
    pairs.
    """
    pairs = np.asarray(pairs)
    if pairs.shape != (n_rows,) or not np.issubdtype(pairs.dtype, np.integer):
        raise ShapeError(
            f"pairs have shape {pairs.shape} and type {pairs.dtype}; needed {n_rows} integers"
        )
    _, codes, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    is_paired: Mask = (pairs >= 0) & (counts[codes] > 1)
    if not is_paired.any():
        raise DataError(
            f"none of {n_rows} rows shares its pair number with another; needed the same number "
            "for prompts that are equal but for the group"
        )
    _, codes, sizes = np.unique(codes[is_paired], return_inverse=True, return_counts=True)
    return is_paired, codes, sizes


def pair_deviations(rows: Double, pairs: Vector) -> tuple[Double, Codes, Codes]:
    """Center the rows that have a partner at the mean of their pair.

    Returns them with their codes and the sizes of the pairs, as from `pair_codes`.
    """
    is_paired, codes, sizes = pair_codes(pairs, n_rows=len(rows))
    paired = rows[is_paired]
    return paired - group_means(paired, codes)[codes], codes, sizes
