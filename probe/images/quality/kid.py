"""Kernel distance of two sets of images, in any features, with its interval over subjects."""

from collections.abc import Sequence

import numpy as np

from probe.arrays import Double, Indices, Matrix
from probe.errors import DegenerateDataError, ShapeError
from probe.images.quality.frechet import as_features
from probe.stats.confidence_limits import student, widened
from probe.stats.interval import Interval

MAX_ROWS = 2000
"""Images of a set that are compared; more are drawn from, so that the kernel fits in memory."""


def kid(
    features_a: Matrix,
    features_b: Matrix,
    *,
    subjects_a: Sequence[object] | None = None,
    subjects_b: Sequence[object] | None = None,
    n_halves: int = 400,
    is_paired: bool = False,
    seed: int = 0,
) -> Interval:
    """Estimate the squared maximum mean discrepancy of two sets of features.

    With ``k(x, y) = (<x, y> / d + 1)^3``, the unbiased estimate
    ``mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)``.

    The interval is by half-sampling: the estimate on half of the subjects varies around that on
    all of them as that on all varies around the truth; of few subjects it is widened as Student's
    t is, and its upper limit is that of the logarithm where the sets surely differ. It is
    somewhat wide where both sets come from one distribution.

    Parameters
    ----------
    features_a, features_b : ndarray of shape (n_a, d), (n_b, d)
        At least 4 rows each; the sets must be independent, unless they are paired. Of more than
        `MAX_ROWS` so many are drawn.
    subjects_a, subjects_b : sequence of shape (n_a,), (n_b,), optional
        What each row belongs to: halves are taken of whole subjects, the same in both sets. Each
        row, or each pair, is a subject by itself if not given.
    n_halves : int, default=400
        Random halves behind the interval.
    is_paired : bool, default=False
        Whether row i of both belongs together, e.g. starts from the same noise: no image is
        then compared with its own pair, so that equal sets score 0.
    seed : int, default=0
        Seed of the halves.

    Returns
    -------
    Interval
        0 is expected of two samples of one distribution, and since the estimate is unbiased, half
        of those are negative. Only values in the same features can be compared.

    Raises
    ------
    DataError
        If the features do not fit together, or a set has fewer than 4 rows or subjects.

    References
    ----------
    Bińkowski, Sutherland, Arbel, Gretton, *Demystifying MMD GANs*, ICLR 2018, section 4.
    """
    a, b = (as_features(of) for of in (features_a, features_b))
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"features are {a.shape[1]} and {b.shape[1]} wide; needed one extractor")
    if is_paired and len(a) != len(b):
        raise ShapeError(f"there are {len(a)} and {len(b)} images; needed pairs")
    units_a, units_b = _units(len(a), len(b), subjects_a, subjects_b, is_paired=is_paired)
    rng = np.random.default_rng(seed)
    rows_a = rng.permutation(len(a))[:MAX_ROWS]
    rows_b = rows_a if is_paired else rng.permutation(len(b))[:MAX_ROWS]
    a, b, units_a, units_b = a[rows_a], b[rows_b], units_a[rows_a], units_b[rows_b]
    n_units = min(len(np.unique(of)) for of in (units_a, units_b))
    if n_units < 4:
        raise DegenerateDataError(f"the images are of {n_units} subjects; needed at least 4")
    within_a, within_b, across = _cubic(a, a), _cubic(b, b), _cubic(a, b)
    for within in (within_a, within_b, *([across] if is_paired else [])):
        np.fill_diagonal(within, 0.0)
    kernels = within_a, within_b, across
    whole = _estimate(*kernels, np.ones((1, len(a))), np.ones((1, len(b))), is_paired=is_paired)
    drawn = _halves(units_a, units_b, n_halves, rng)
    spread = _estimate(*kernels, drawn[:, units_a], drawn[:, units_b], is_paired=is_paired)
    few = student(n_units - 1) / student(np.inf)
    below, above = few * np.quantile(spread - spread.mean(), [0.025, 0.975])
    value = float(whole[0])
    if value + below > 0:  # the sets differ, and the error grows with the distance
        above *= widened(float(above), value)
    return Interval(value=value, low=value + float(below), high=value + float(above))


def _units(
    n_a: int,
    n_b: int,
    subjects_a: Sequence[object] | None,
    subjects_b: Sequence[object] | None,
    *,
    is_paired: bool,
) -> tuple[Indices, Indices]:
    """Number the subject of each row of both sets; equal subjects have equal numbers."""
    if subjects_a is None or subjects_b is None:
        rows = np.arange(n_a + n_b)
        return rows[:n_a], rows[:n_b] if is_paired else rows[n_a:]
    if (len(subjects_a), len(subjects_b)) != (n_a, n_b):
        raise ShapeError(
            f"there are {len(subjects_a)} and {len(subjects_b)} subjects of {n_a} and {n_b} "
            "images; needed one for each"
        )
    codes = np.unique([*subjects_a, *subjects_b], return_inverse=True)[1]
    return codes[:n_a], codes[n_a:]


def _cubic(a: Double, b: Double) -> Double:
    kernel: Double = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _halves(units_a: Indices, units_b: Indices, n_halves: int, rng: np.random.Generator) -> Double:
    """Indicators of random halves of the units, shape (n_halves, n_units).

    Units of both sets, of the first alone and of the second alone are halved each by itself.
    """
    n_units = int(max(units_a.max(), units_b.max())) + 1
    place = np.arange(n_units)
    is_a, is_b = np.isin(place, units_a), np.isin(place, units_b)
    drawn = np.zeros((n_halves, n_units))
    for part in (place[is_a & is_b], place[is_a & ~is_b], place[is_b & ~is_a]):
        ranks = rng.permuted(np.tile(np.arange(len(part)), (n_halves, 1)), axis=1)
        drawn[:, part] = ranks < len(part) // 2
    return drawn


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
