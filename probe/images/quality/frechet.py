"""Fréchet distance of two sets of features, from moments that accumulate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import jackknife_half
from probe.stats.intervals import Interval

N_GROUPS = 20
"""Groups of pictures, each left out once, behind the interval."""


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
        """Take the moments of features of shape (n, d).

        Raises
        ------
        ShapeError, DataError
            If they have no two dimensions, or one is not finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or not len(rows):
            raise ShapeError(
                f"features have the shape {rows.shape}; needed (n_pictures, n_features)"
            )
        if not np.isfinite(rows).all():
            raise DataError("features hold something that is not finite; extract them again")
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
        """Sample covariance, ``ddof=1``.

        Raises
        ------
        DegenerateDataError
            If there is a single picture.
        """
        if self.n < 2:
            raise DegenerateDataError("a single picture has no covariance; needed at least 2")
        return self.scatter / (self.n - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the squared Fréchet distance of two Gaussians.

    ``||mean_a - mean_b||^2 + tr(A + B - 2 (A B)^(1/2))`` with the covariances A and B. The root's
    trace is taken from the eigenvalues of ``A^(1/2) B A^(1/2)``, which is symmetric: nothing
    complex arises where there are fewer pictures than features.

    Returns
    -------
    float
        In squared units of the features. 0 means the same mean and covariance. The estimate is
        biased upwards, the more so the fewer pictures there are.

    Raises
    ------
    ShapeError
        If the features differ in width.
    DegenerateDataError
        If a set is a single picture.

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


def fid(features_a: Iterable[Matrix] | Matrix, features_b: Iterable[Matrix] | Matrix) -> Interval:
    """Estimate the Fréchet distance of two sets of features, with its 95 % interval.

    The interval is that of the jackknife over `N_GROUPS` groups of pictures, each left out once
    of both sets, with Student's t. It says how the figure varies at this number of pictures; the
    figure's bias is in it as it is in the figure, so only figures of equal numbers compare.

    Parameters
    ----------
    features_a, features_b : ndarray of shape (n, d), or iterable of such chunks
        Chunks are taken one after the other: 100,000 pictures need no more memory than the
        moments of the groups. Row i of both falls into the same group, so that paired pictures
        are left out together.

    Returns
    -------
    Interval
        See `frechet_distance`; the lower end is at least 0.

    Raises
    ------
    ShapeError, DataError
        If the features are none, or differ in width.
    DegenerateDataError
        If a set has fewer than 4 pictures.
    """
    sets = [_grouped(of) for of in (features_a, features_b)]
    whole = [_joined(groups) for groups in sets]
    value = frechet_distance(*whole)
    left = [
        frechet_distance(*(_joined(groups[:out] + groups[out + 1 :]) for groups in sets))
        for out in range(min(len(groups) for groups in sets))
    ]
    half = jackknife_half(np.array(left))
    return Interval(value=value, low=max(0.0, value - half), high=value + half)


def _grouped(features: Iterable[Matrix] | Matrix) -> list[Moments]:
    """Deal rows to groups in turn, chunk by chunk."""
    chunks = [features] if isinstance(features, np.ndarray) else features
    groups: dict[int, Moments] = {}
    done = 0
    for chunk in chunks:
        for group in range(N_GROUPS):
            rows = chunk[(group - done) % N_GROUPS :: N_GROUPS]
            if len(rows):
                moments = Moments.of(rows)
                groups[group] = groups[group] + moments if group in groups else moments
        done += len(chunk)
    if done < 4:
        raise DegenerateDataError(f"there are {done} pictures; needed at least 4")
    return [groups[group] for group in sorted(groups)]


def _joined(groups: list[Moments]) -> Moments:
    joined = groups[0]
    for group in groups[1:]:
        joined = joined + group
    return joined
