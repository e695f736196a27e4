"""Fréchet distance of two sets of features, from moments that accumulate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import jackknife_half
from probe.stats.interval import Interval

N_GROUPS = 20
"""Groups of subjects, each left out once, behind the interval."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Number, mean and scatter of features: all that a Fréchet distance needs of them."""

    n: int
    mean: Double
    """Shape (d,)."""
    scatter: Double
    """Sum of outer products of what deviates from the mean, shape (d, d)."""

    @classmethod
    def of(cls, features: Matrix) -> Moments:
        """Take the moments of features of shape (n, d)."""
        rows = as_features(features)
        mean = rows.mean(axis=0)
        return cls(len(rows), mean, (rows - mean).T @ (rows - mean))

    def __add__(self, other: Moments) -> Moments:
        """Join two sets, as if their features had been taken at once (Chan et al. 1979)."""
        if self.mean.shape != other.mean.shape:
            raise ShapeError(
                f"features are {len(self.mean)} and {len(other.mean)} wide; needed one extractor"
            )
        n, apart = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    @property
    def covariance(self) -> Double:
        """Sample covariance, ``ddof=1``."""
        if self.n < 2:
            raise DegenerateDataError("a single image has no covariance; needed at least 2")
        return self.scatter / (self.n - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the squared Fréchet distance of two Gaussians.

    ``||mean_a - mean_b||^2 + tr(A + B - 2 (A B)^(1/2))`` with the covariances A and B. The root's
    trace is taken from the eigenvalues of ``A^(1/2) B A^(1/2)``, which is symmetric: nothing
    complex arises where there are fewer images than features.

    Returns
    -------
    float
        In squared units of the features. 0 means the same mean and covariance. The estimate is
        biased upwards, the more so the fewer images there are.

    References
    ----------
    Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, NeurIPS 2017, equation 6.
    """
    if a.mean.shape != b.mean.shape:
        raise ShapeError(f"features are {len(a.mean)} and {len(b.mean)} wide; needed one extractor")
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    middle = np.linalg.eigvalsh(root @ b.covariance @ root)
    overlap = float(np.sqrt(np.maximum(middle, 0.0)).sum())
    apart = float(((a.mean - b.mean) ** 2).sum())
    return apart + float(np.trace(a.covariance) + np.trace(b.covariance)) - 2 * overlap


def fid(features: Iterable[Matrix], reference: Iterable[Matrix]) -> float:
    """Compute the Fréchet inception distance of generated images to a set of reference images.

    It is called FID in the features of Inception v3 only, and compares with published figures at
    their reference set and number of images (usually 30,000 or more). For how far a correction
    moves the images of one model, see `frechet_drift`.

    Parameters
    ----------
    features, reference : iterable of ndarray of shape (n_chunk, d)
        Features in chunks, which are read once: memory does not grow with the number of images.

    Returns
    -------
    float
        See `frechet_distance`.
    """
    return frechet_distance(*(_joined(map(Moments.of, of)) for of in (features, reference)))


def frechet_drift(before: Matrix, after: Matrix, subjects: Sequence[object]) -> Interval:
    """Measure how far images move as a set, with a 95 % interval over subjects.

    The Fréchet distance between features of images from the same noise, before and after a
    change of the model. It is no FID: both sets are generated, and few. The interval is Student's
    by the jackknife over at most `N_GROUPS` groups of whole subjects, each left out once of both
    sets. It says how the figure varies at this number of images; the figure's upward bias is in
    the interval too, so only figures of equal numbers of images compare.

    Row i of ``before`` and ``after`` (n_pairs, d) starts from the same noise and is of the i-th of
    the ``subjects``. The result is in squared units of the features; 0 means the same mean and
    covariance.
    """
    if len(before) != len(after) or len(subjects) != len(before):
        raise ShapeError(
            f"there are {len(before)} and {len(after)} images of {len(subjects)} subjects; "
            "needed one subject for each pair"
        )
    codes = np.unique(np.asarray(subjects), return_inverse=True)[1]
    n_groups = min(int(codes.max(initial=-1)) + 1, N_GROUPS)
    if n_groups < 4:
        raise DegenerateDataError(
            f"the images are of {n_groups} subjects; needed at least 4 to leave some out"
        )
    groups = [
        [Moments.of(side[codes % n_groups == group]) for group in range(n_groups)]
        for side in (before, after)
    ]
    value = frechet_distance(*(_joined(of) for of in groups))
    left = [
        frechet_distance(*(_joined(of[:out] + of[out + 1 :]) for of in groups))
        for out in range(n_groups)
    ]
    half = jackknife_half(np.array(left))
    return Interval(value=value, low=max(0.0, value - half), high=value + half)


def _joined(groups: Iterable[Moments]) -> Moments:
    rest = iter(groups)
    if (joined := next(rest, None)) is None:
        raise DegenerateDataError("a set has no image; needed at least 2")
    for group in rest:
        joined = joined + group
    return joined


def paired_distances(before: Matrix, after: Matrix) -> Double:
    """Compute ``1 - cos`` of the features (n_pairs, d) of each pair: 0 (equal direction) to 2."""
    a, b = as_features(before), as_features(after)
    if a.shape != b.shape:
        raise ShapeError(f"features have the shapes {a.shape} and {b.shape}; needed pairs")
    lengths = [np.linalg.norm(of, axis=1) for of in (a, b)]
    if min(of.min(initial=1.0) for of in lengths) == 0.0:
        raise DegenerateDataError("features of an image are all 0 and have no direction")
    # of equal images it must be 0, and rounding would leave a trace
    cosines = np.minimum((a * b).sum(axis=1) / (lengths[0] * lengths[1]), 1.0)
    found: Double = np.where((a == b).all(axis=1), 0.0, 1.0 - cosines)
    return found


def as_features(features: Matrix) -> Double:
    """Check features of shape (n_images, n_features), and return them in double precision."""
    rows: Double = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or not len(rows):
        raise ShapeError(f"features have the shape {rows.shape}; needed (n_images, n_features)")
    if not np.isfinite(rows).all():
        raise DataError("features hold something that is not finite; extract them again")
    return rows
