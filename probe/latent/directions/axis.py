"""Bias axes: unit directions that separate one group's embeddings from another's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probe.arrays import Double, Mask, Matrix, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError

"""Embeddings as they come, of any precision, one a row."""
"""What this room returns: double precision, whatever came in."""


@dataclass(frozen=True, eq=False)
class BiasDirection:
    """A unit bias axis, with what is needed to know where it came from."""

    vector: Vector
    """Shape (n_features,), unit norm; points from female to male."""
    concept: str
    """Lexicon concept that labelled the groups, e.g. ``"gender"``."""
    encoder: str
    """Encoder id and revision; a direction is valid for this encoder only."""

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or not np.isclose(np.linalg.norm(self.vector), 1.0):
            raise ShapeError(
                f"vector has shape {self.vector.shape} and norm "
                f"{np.linalg.norm(self.vector):.4g}; needed one dimension and norm 1: divide it "
                "by its norm"
            )

    def project(self, z: Matrix) -> Double:
        """Return where the rows of ``z`` stand on the axis, shape (n,); positive is male."""
        return as_embeddings(z, n_features=len(self.vector)) @ as_vector(self)


class AxisEstimator(BaseEstimator, ABC):
    """Find a bias axis from aligned male and female rows; what every estimator of one can do.

    Attributes
    ----------
    direction_ : ndarray of shape (n_features,)
        Unit vector; positive is male.
    n_features_in_ : int
        Width of the embeddings.
    """

    direction_: Double
    n_features_in_: int

    @abstractmethod
    def fit(self, male: Matrix, female: Matrix) -> AxisEstimator:
        """Learn the axis from aligned rows, both of shape (n_pairs, n_features)."""

    def result(self, *, concept: str, encoder: str) -> BiasDirection:
        """Return the fitted axis as a result that can be kept."""
        check_is_fitted(self)
        return BiasDirection(vector=self.direction_, concept=concept, encoder=encoder)


class PairDirection(AxisEstimator):
    """Find a bias axis from pairs of prompts that are equal but for gender.

    The axis is the unit vector of ``mean_i(male_i - female_i)``. What the two prompts of a pair
    share (occupation, template) cancels within the pair.

    Attributes
    ----------
    direction_ : ndarray of shape (n_features,)
        Unit vector from female to male.
    gap_ : float
        Distance between the two group means, in embedding units.
    n_features_in_ : int
        Width of the embeddings.

    References
    ----------
    Bolukbasi et al., *Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings*, NeurIPS 2016, for axes of paired differences.
    """

    def fit(self, male: Matrix, female: Matrix) -> PairDirection:
        """Learn the axis from aligned rows, both of shape (n_pairs, n_features).

        Raises
        ------
        ShapeError
            If the two sides differ in shape.
        DataError
            If a value is not finite or there is no pair.
        DegenerateDataError
            If the differences vanish on average, so that no axis stands out.
        """
        male, female, difference, _ = as_apart(male, female)
        self.gap_ = float(np.linalg.norm(difference))
        self.direction_: Double = difference / self.gap_
        self.n_features_in_ = male.shape[1]
        return self


def gap(z: Matrix, is_male: Mask, direction: BiasDirection | Vector) -> float:
    """Measure how far apart two groups stand on a bias axis.

    ``mean_male <z, d> - mean_female <z, d>``.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings.
    is_male : ndarray of bool, shape (n,)
        Which rows belong to the male group; the others are the female group.
    direction : BiasDirection or ndarray of shape (n_features,)
        Unit axis.

    Returns
    -------
    float
        In embedding units. 0 means that the groups stand at the same place on the axis.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DataError
        If a group is empty.
    """
    vector = as_vector(direction)
    scores = as_embeddings(z, n_features=len(vector)) @ vector
    is_male = _as_groups(is_male, n_rows=len(scores))
    return float(scores[is_male].mean() - scores[~is_male].mean())


def as_vector(direction: BiasDirection | Vector) -> Double:
    """Return the vector of a direction, in double precision."""
    vector = direction.vector if isinstance(direction, BiasDirection) else np.asarray(direction)
    if vector.ndim != 1:
        raise ShapeError(f"a direction needs one dimension, got shape {vector.shape}")
    return vector.astype(np.float64)


def as_embeddings(z: Matrix, *, n_features: int | None = None) -> Double:
    """Return embeddings in double precision, or say why they are none."""
    rows: Double = np.asarray(z, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"embeddings need the shape (n, n_features), got {rows.shape}")
    if n_features is not None and rows.shape[1] != n_features:
        raise ShapeError(
            f"embeddings have {rows.shape[1]} features but {n_features} were needed; embed with "
            "the encoder that was used to fit"
        )
    if not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        raise DataError(
            f"{len(bad)} of {len(rows)} embeddings hold a value that is not finite (the first is "
            f"row {bad[0]}); drop them or encode them again"
        )
    return rows


def as_pairs(male: Matrix, female: Matrix) -> tuple[Double, Double]:
    """Return both sides of the pairs in double precision, or say why they are no pairs."""
    if np.shape(male) != np.shape(female):
        raise ShapeError(
            f"male has shape {np.shape(male)} and female {np.shape(female)}; needed the same: "
            "row i of both must be the two prompts of one pair"
        )
    male, female = as_embeddings(male), as_embeddings(female)
    if not len(male):
        raise DataError("there are no pairs to fit on; needed at least 1 pair of embeddings")
    return male, female


def as_apart(male: Matrix, female: Matrix) -> tuple[Double, Double, Double, float]:
    """Return both sides, their mean difference and the length that is only rounding.

    Sides that do not stand apart are refused.
    """
    dtype = np.result_type(np.asarray(male), np.asarray(female))
    male, female = as_pairs(male, female)
    difference: Double = (male - female).mean(axis=0)
    floor = rounding(dtype, male, female)
    if (length := float(np.linalg.norm(difference))) <= floor:
        raise DegenerateDataError(
            f"the differences of {len(male)} pairs vanish on average (norm {length:.2g}); "
            "needed pairs whose two prompts differ: check that both sides are not the same"
        )
    return male, female, difference, floor


def rounding(dtype: npt.DTypeLike, *arrays: Matrix) -> float:
    """Return the length below which a difference of rows is only rounding of ``dtype``."""
    eps = np.finfo(dtype).eps if np.issubdtype(dtype, np.floating) else np.finfo(np.float64).eps
    largest = max(float(np.linalg.norm(a, axis=1).max()) for a in arrays)
    return 4 * float(eps) * largest


def _as_groups(is_male: Mask, *, n_rows: int) -> Mask:
    """Return the group mask of ``n_rows`` rows, both groups present.

    Raises
    ------
    ShapeError, DataError
        If it is no mask of as many rows, or a group is empty.
    """
    is_male = np.asarray(is_male)
    if is_male.shape != (n_rows,) or is_male.dtype != np.bool_:
        raise ShapeError(
            f"is_male has shape {is_male.shape} and type {is_male.dtype}; needed {n_rows} booleans"
        )
    if is_male.all() or not is_male.any():
        raise DataError(
            f"{int(is_male.sum())} of {n_rows} rows are male; needed at least 1 of each group"
        )
    return is_male
