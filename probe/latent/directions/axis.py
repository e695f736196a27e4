"""The bias direction, the pair direction that finds it, and checks of embeddings."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probe.arrays import Double, Matrix, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError


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
        """Return the projection of each row on the axis, shape (n,); positive is male."""
        return as_embeddings(z, n_features=len(self.vector)) @ as_vector(self)


class AxisEstimator(BaseEstimator, ABC):
    """Base of all estimators of a bias axis from aligned male and female rows.

    Attributes
    ----------
    direction_ : ndarray of shape (n_features,)
        Unit vector; positive is male.
    n_features_in_ : int
        Width of the embeddings.
    """

    direction_: Double
    n_features_in_: int

    def fit(self, male: Matrix, female: Matrix) -> Self:
        """Learn the axis from aligned rows, both of shape (n_pairs, n_features).

        Raises
        ------
        ShapeError
            If the two sides differ in shape.
        DataError
            If a value is not finite or there is no pair.
        DegenerateDataError
            If the differences vanish on average, or the estimator finds no axis in them.
        """
        male, female, difference, floor = separated_pairs(male, female)
        axis = self._axis(male, female, difference, floor)
        self.direction_ = axis / np.linalg.norm(axis)
        self.n_features_in_ = male.shape[1]
        return self

    def result(self, *, concept: str, encoder: str) -> BiasDirection:
        """Return the fitted axis as a result that can be kept."""
        check_is_fitted(self)
        return BiasDirection(vector=self.direction_, concept=concept, encoder=encoder)

    @abstractmethod
    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        """Return the axis, of any length, of pairs with this mean difference.

        Lengths up to ``floor`` are rounding.
        """


class PairDirection(AxisEstimator):
    """Find a bias axis from pairs of prompts that are equal but for gender.

    The axis is the unit vector of ``mean_i(male_i - female_i)``. What the two prompts of a pair
    share (occupation, template) cancels within the pair.

    References
    ----------
    Bolukbasi et al., *Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings*, NeurIPS 2016, for axes of paired differences.
    """

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        return difference


def as_vector(direction: BiasDirection | Vector) -> Double:
    """Return the vector of a direction, in double precision."""
    vector = direction.vector if isinstance(direction, BiasDirection) else np.asarray(direction)
    if vector.ndim != 1:
        raise ShapeError(f"a direction needs one dimension, got shape {vector.shape}")
    return vector.astype(np.float64)


def as_embeddings(z: Matrix, *, n_features: int | None = None) -> Double:
    """Check embeddings of shape (n, n_features), and return them in double precision."""
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
    """Check aligned pairs, and return both sides in double precision."""
    if np.shape(male) != np.shape(female):
        raise ShapeError(
            f"male has shape {np.shape(male)} and female {np.shape(female)}; needed the same: "
            "row i of both must be the two prompts of one pair"
        )
    male, female = as_embeddings(male), as_embeddings(female)
    if not len(male):
        raise DataError("there are no pairs to fit on; needed at least 1 pair of embeddings")
    return male, female


def separated_pairs(male: Matrix, female: Matrix) -> tuple[Double, Double, Double, float]:
    """Return both sides, their mean difference, and the length below which it is rounding.

    Pairs that do not differ on average are refused.
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
