"""Precision, recall, density and coverage of one set of pictures with respect to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.images.fairness import Interval, share_interval
from probe.images.intervals import mean_interval

Matrix = npt.NDArray[np.floating]
Double = npt.NDArray[np.float64]

_ROWS = 512  # pictures whose distances to all others are held at once


@dataclass(frozen=True)
class ManifoldFigures:
    """How two sets of pictures lie in each other, each figure with its interval."""

    precision: Interval
    """Share of the new pictures that lie among the reference: fidelity."""
    recall: Interval
    """Share of the reference that lies among the new pictures: diversity."""
    density: Interval
    """Like precision, but counts in how many balls a picture lies; 1 is expected of equal sets."""
    coverage: Interval
    """Share of the reference balls that hold a new picture; near 1 for equal sets."""


def manifold_figures(
    reference: Matrix, new: Matrix, *, k_precision: int = 3, k_density: int = 5
) -> ManifoldFigures:
    """Measure how a set of features lies in another, by balls to the k-th nearest neighbour.

    The balls are taken as given: the intervals (exact ones, the bootstrap's for density)
    are over the pictures that are looked up in them.

    Parameters
    ----------
    reference, new : ndarray of shape (n, d), (m, d)
        More rows each than the larger k.
    k_precision : int, default=3
        Neighbour of precision and recall, as Kynkäänniemi et al. choose it.
    k_density : int, default=5
        Neighbour of density and coverage, as Naeem et al. choose it.

    Raises
    ------
    ShapeError, DataError
        If the features have no two dimensions, differ in width, or are not finite.
    DegenerateDataError
        If there are too few pictures for k neighbours.
    ValueError
        If a k is below 1.

    References
    ----------
    Kynkäänniemi et al., *Improved Precision and Recall Metric*, NeurIPS 2019.
    Naeem et al., *Reliable Fidelity and Diversity Metrics*, ICML 2020.
    """
    a, b = (_checked(of, max(k_precision, k_density)) for of in (reference, new))
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"features are {a.shape[1]} and {b.shape[1]} wide; needed one extractor")
    if min(k_precision, k_density) < 1:
        raise ValueError(f"k is {min(k_precision, k_density)}; needed at least 1")
    of_a, of_b = (_radii(of, (k_precision, k_density)) for of in (a, b))
    n_balls, is_covered = _look_up(b, a, of_a[0]), np.zeros(len(a), dtype=bool)
    n_dense = np.zeros(len(b))
    for start in range(0, len(a), _ROWS):
        inside = _distances(a[start : start + _ROWS], b) <= of_a[1][start : start + _ROWS, None]
        is_covered[start : start + _ROWS] = inside.any(axis=1)
        n_dense += inside.sum(axis=0)
    n_recalled = _look_up(a, b, of_b[0])
    return ManifoldFigures(
        precision=share_interval(int((n_balls > 0).sum()), len(b)),
        recall=share_interval(int((n_recalled > 0).sum()), len(a)),
        density=mean_interval(n_dense / k_density),
        coverage=share_interval(int(is_covered.sum()), len(a)),
    )


def _look_up(points: Double, centers: Double, radii: Double) -> npt.NDArray[np.integer]:
    """In how many balls each point lies."""
    found = np.zeros(len(points), dtype=np.int64)
    for start in range(0, len(centers), _ROWS):
        rows = slice(start, start + _ROWS)
        found += (_distances(centers[rows], points) <= radii[rows, None]).sum(axis=0)
    return found


def _radii(rows: Double, neighbours: tuple[int, ...]) -> list[Double]:
    """Squared distance of each row to its k-th neighbour, for each k."""
    found: list[Double] = []
    for start in range(0, len(rows), _ROWS):
        distances = _distances(rows[start : start + _ROWS], rows)
        # a row is its own nearest neighbour, at exactly 0 whatever the rounding
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = 0.0
        found.append(np.partition(distances, neighbours, axis=1)[:, neighbours])
    radii = np.concatenate(found)
    return [radii[:, column] for column in range(len(neighbours))]


def _distances(a: Double, b: Double) -> Double:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    distances: Double = np.maximum(squares, 0.0)
    return distances


def _checked(features: Matrix, k: int) -> Double:
    rows: Double = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"features have the shape {rows.shape}; needed (n_pictures, n_features)")
    if not np.isfinite(rows).all():
        raise DataError("features hold something that is not finite; extract them again")
    if len(rows) <= k:
        raise DegenerateDataError(
            f"there are {len(rows)} pictures; needed more than the {k} neighbours looked at"
        )
    return rows
