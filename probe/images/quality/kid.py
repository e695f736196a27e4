"""Kernel distances: how far two sets of pictures are apart, in any features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import student
from probe.stats.intervals import Interval

Kernel = Callable[[Double, Double], Double]

MAX_ROWS = 2000
"""Pictures of a set that are compared; more are drawn from, so that the kernel fits in memory."""


def kid(
    features_a: Matrix,
    features_b: Matrix,
    *,
    n_halves: int = 400,
    is_paired: bool = False,
    seed: int = 0,
) -> Interval:
    """Estimate the squared maximum mean discrepancy of two sets of features.

    With ``k(x, y) = (<x, y> / d + 1)^3``, the unbiased estimate
    ``mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)``.

    The interval is that of half-sampling: the estimate on half of the rows of each set varies
    around that on all of them as that on all varies around the truth; of few rows it is wider, as
    Student's t is. It is somewhat wide where both sets come from one distribution.

    Parameters
    ----------
    features_a, features_b : ndarray of shape (n_a, d), (n_b, d)
        At least 4 rows each; the sets must be independent, unless they are paired. Of more than
        `MAX_ROWS` so many are drawn.
    n_halves : int, default=400
        Random halves behind the interval.
    is_paired : bool, default=False
        Whether row i of both belongs together, e.g. starts from the same noise: halves are then
        taken of pairs, and no picture is compared with its own counterfactual, so that equal sets
        score 0.
    seed : int, default=0
        Seed of the halves.

    Returns
    -------
    Interval
        0 is expected of two samples of one distribution, and since the estimate is unbiased, half
        of those are negative. Only values in the same features can be compared.

    Raises
    ------
    ShapeError
        If the features have no two dimensions or differ in width.
    DataError
        If a feature is not finite.
    DegenerateDataError
        If a set has fewer than 4 rows.

    References
    ----------
    Bińkowski, Sutherland, Arbel, Gretton, *Demystifying MMD GANs*, ICLR 2018, section 4.
    """
    return _compare(features_a, features_b, _cubic, n_halves, is_paired, seed)


def cmmd(
    features_a: Matrix,
    features_b: Matrix,
    *,
    n_halves: int = 400,
    is_paired: bool = False,
    seed: int = 0,
) -> Interval:
    """Estimate a thousand times the squared mean discrepancy with a Gaussian kernel.

    With ``k(x, y) = exp(-||x - y||^2 / (2 * 10^2))`` on embeddings of unit length, the unbiased
    estimate of `kid`, times 1000. The authors' program keeps each picture's distance to itself in
    the mean, which adds up to ``1000 (1 - k) / n`` for each set; here it is left out.

    Parameters, interval and errors are those of `kid`.

    References
    ----------
    Jayasumana et al., *Rethinking FID: Towards a Better Evaluation Metric for Image Generation*,
    CVPR 2024.
    """
    found = _compare(features_a, features_b, _gaussian, n_halves, is_paired, seed)
    return Interval(*(1000 * end for end in (found.value, found.low, found.high)))


def _compare(
    features_a: Matrix,
    features_b: Matrix,
    kernel: Kernel,
    n_halves: int,
    is_paired: bool,
    seed: int,
) -> Interval:
    a, b = (_checked(of) for of in (features_a, features_b))
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"features are {a.shape[1]} and {b.shape[1]} wide; needed one extractor")
    if is_paired and len(a) != len(b):
        raise ShapeError(f"there are {len(a)} and {len(b)} pictures; needed pairs")
    if n_halves < 2:
        raise ValueError(f"n_halves is {n_halves}; needed at least 2")
    rng = np.random.default_rng(seed)
    rows_a = rng.permutation(len(a))[:MAX_ROWS]
    rows_b = rows_a if is_paired else rng.permutation(len(b))[:MAX_ROWS]
    a, b = a[rows_a], b[rows_b]
    within_a, within_b, across = kernel(a, a), kernel(b, b), kernel(a, b)
    for within in (within_a, within_b, *([across] if is_paired else [])):
        np.fill_diagonal(within, 0.0)
    kernels = within_a, within_b, across
    whole = _estimate(*kernels, np.ones((1, len(a))), np.ones((1, len(b))), is_paired=is_paired)
    half = _halves(len(a), n_halves, rng)
    others = half if is_paired else _halves(len(b), n_halves, rng)
    spread = _estimate(*kernels, half, others, is_paired=is_paired)
    few = student(min(len(a), len(b)) - 1) / student(np.inf)
    low, high = few * np.quantile(spread - spread.mean(), [0.025, 0.975])
    value = float(whole[0])
    return Interval(value=value, low=value + float(low), high=value + float(high))


def _checked(features: Matrix) -> Double:
    rows: Double = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"features have the shape {rows.shape}; needed (n_pictures, n_features)")
    if not np.isfinite(rows).all():
        raise DataError("features hold something that is not finite; extract them again")
    if len(rows) < 4:
        raise DegenerateDataError(f"there are {len(rows)} pictures; needed at least 4 to halve")
    return rows


def _cubic(a: Double, b: Double) -> Double:
    kernel: Double = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _gaussian(a: Double, b: Double) -> Double:
    a, b = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in (a, b))
    kernel: Double = np.exp((a @ b.T - 1) / 100)  # unit vectors: ||x - y||^2 = 2 - 2 <x, y>
    return kernel


def _halves(n: int, n_halves: int, rng: np.random.Generator) -> Double:
    """Indicators of random halves, shape (n_halves, n)."""
    ranks = rng.permuted(np.tile(np.arange(n), (n_halves, 1)), axis=1)
    return (ranks < n // 2).astype(np.float64)


def _estimate(
    within_a: Double,  # zero on the diagonal
    within_b: Double,
    across: Double,
    rows_a: Double,  # (n_draws, n_a), 1 where a row is drawn
    rows_b: Double,
    *,
    is_paired: bool,  # then zero on the diagonal of across too
) -> Double:
    n_a, n_b = rows_a.sum(axis=1), rows_b.sum(axis=1)
    of_a = ((rows_a @ within_a) * rows_a).sum(axis=1) / (n_a * (n_a - 1))
    of_b = ((rows_b @ within_b) * rows_b).sum(axis=1) / (n_b * (n_b - 1))
    of_both = ((rows_a @ across) * rows_b).sum(axis=1) / (n_a * (n_b - is_paired))
    estimate: Double = of_a + of_b - 2 * of_both
    return estimate
