"""Precision, recall, density and coverage of one set of pictures with respect to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Mask, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.images.quality.frechet import N_GROUPS
from probe.stats.confidence_limits import jackknife_half, widened
from probe.stats.intervals import Interval, mean_interval, share_interval

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

    The intervals are as long as the jackknife's over groups of pictures, each left out once of
    both sets, with Student's t; and as those of the pictures that are looked up in balls taken as
    given, exact ones and for density the bootstrap's. They say how a figure varies at this number
    of pictures, on which it depends.

    Parameters
    ----------
    reference, new : ndarray of shape (n, d), (m, d)
        More rows each than the larger k, by two. Row i of both falls into the same group, so that
        paired pictures are left out together.
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
    n_groups = min(len(a), len(b), N_GROUPS)
    stays = [_stays(len(of), n_groups) for of in (a, b)]
    of_a, of_b = (
        _radii(of, (k_precision, k_density), stay) for of, stay in zip((a, b), stays, strict=True)
    )
    dense, covered = np.zeros(stays[1].shape), np.zeros(stays[0].shape)
    for out, rows, inside in _look_up(b, a, of_a[1]):
        dense[out] += inside.sum(axis=0)
        covered[out, rows] = (inside & stays[1][out]).any(axis=1)
    looked_up = {
        "precision": (_is_among(b, a, of_a[0]), stays[1]),
        "recall": (_is_among(a, b, of_b[0]), stays[0]),
        "density": (dense / k_density, stays[1]),
        "coverage": (covered, stays[0]),
    }
    return ManifoldFigures(**{name: _estimate(*found) for name, found in looked_up.items()})


def _estimate(found: Double, stays: Mask) -> Interval:
    """Estimate a mean over pictures; a row of ``found`` and ``stays`` for each group left out.

    Where sets hardly meet, few large balls hold all there is, and the error grows with the figure:
    upwards the interval goes as far as Student's of its logarithm.
    """
    whole = found[0]
    is_share = bool(((whole == 0) | (whole == 1)).all())
    given = share_interval(int(whole.sum()), len(whole)) if is_share else mean_interval(whole)
    left = (found * stays).sum(axis=1)[1:] / stays.sum(axis=1)[1:]
    half = jackknife_half(left)
    low, high = given.value - half, given.value + half * widened(half, given.value)
    high = min(high, 1.0) if is_share else high
    return Interval(given.value, max(0.0, min(given.low, low)), max(given.high, high))


def _stays(n: int, n_groups: int) -> Mask:
    """Tell which of n pictures stay, (n_groups + 1, n): all, then without each group in turn."""
    is_out = np.arange(n) % n_groups == np.arange(n_groups)[:, None]
    return np.concatenate([np.ones((1, n), dtype=bool), ~is_out])


def _is_among(points: Double, centers: Double, radii: Double) -> Double:
    """1 for a point that lies in any ball, else 0; shape (n_groups + 1, n_points)."""
    found = np.zeros((len(radii), len(points)), dtype=bool)
    for out, _, inside in _look_up(points, centers, radii):
        found[out] |= inside.any(axis=0)
    return found.astype(np.float64)


def _look_up(points: Double, centers: Double, radii: Double) -> Iterator[tuple[int, slice, Mask]]:
    """Tell which points lie in which balls, some rows of balls at a time.

    Gives the group that is left out, the rows, and the mask, (n_rows, n_points).
    """
    for start in range(0, len(centers), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = _distances(centers[rows], points)
        for out, of_balls in enumerate(radii):
            yield out, rows, distances <= of_balls[rows, None]


def _radii(rows: Double, neighbours: tuple[int, ...], stays: Mask) -> list[Double]:
    """Squared distance of each row to its k-th neighbour that stays, for each k.

    Returns
    -------
    list of ndarray of shape (n_groups + 1, n_rows)
        -1 for a row that does not stay: its ball holds nothing.
    """
    found = np.empty((len(neighbours), *stays.shape))
    for start in range(0, len(rows), _ROWS):
        distances = _distances(rows[start : start + _ROWS], rows)
        # a row is its own nearest neighbour, at exactly 0 whatever the rounding
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = 0.0
        for out, stay in enumerate(stays):
            near = np.partition(distances[:, stay], neighbours, axis=1)[:, neighbours]
            found[:, out, start : start + _ROWS] = near.T
    return list(np.where(stays, found, -1.0))


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
    if len(rows) < k + 2:
        raise DegenerateDataError(
            f"there are {len(rows)} pictures; needed {k + 2}, two more than the {k} neighbours "
            "looked at"
        )
    return rows
