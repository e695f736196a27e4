"""What the intervals of this room are made of: finite values, bootstrap draws, their quantiles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from probe.arrays import Double, Indices, Mask, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import FEW, exact_limits, student

CELLS = 4_000_000
"""Drawn numbers held at once, 32 MB: bounds memory, not the result."""


def as_finite(values: Vector, name: str) -> Double:
    """Return finite values of one dimension in double precision, or say why they are none."""
    found: Double = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ShapeError(f"{name} needs one dimension, got shape {found.shape}")
    if n_bad := int((~np.isfinite(found)).sum()):
        raise DataError(f"{n_bad} of {len(found)} values of {name} are not finite; drop them")
    return found


def as_groups(is_male: Mask, *, n_rows: int) -> Mask:
    """Return the group mask, or say why it makes no two groups of ``n_rows`` rows."""
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


def is_constant(values: Double) -> bool:
    """Tell whether values differ by rounding only."""
    # below this spread, what is left after subtracting the mean is rounding
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def chunks(n_draws: int, n_cells: int) -> list[int]:
    """Split a number of draws of ``n_cells`` numbers each into sizes that fit in memory."""
    size = max(1, CELLS // max(1, n_cells))
    return [min(size, n_draws - start) for start in range(0, n_draws, size)]


def resamples(n: int, n_bootstrap: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Draw rows with replacement, in chunks of shape (n_draws, n)."""
    check_count("n_bootstrap", n_bootstrap)
    return (rng.integers(n, size=(size, n)) for size in chunks(n_bootstrap, n))


def resampled_weights(n: int, n_draws: int, rng: np.random.Generator) -> Double:
    """Draw n rows with replacement; return the share of each, (n_draws, n), rows of sum 1."""
    rows = rng.integers(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
    return np.bincount(rows.ravel(), minlength=n * n_draws).reshape(n_draws, n) / n


def interval(draws: Double, *, confidence: float = 0.95) -> tuple[float, float]:
    """Give the percentile interval of the draws that are finite.

    A draw that holds one row only, again and again, has no figure; it is left out.
    """
    tail, finite = (1 - confidence) / 2, draws[np.isfinite(draws)]
    if not len(finite):
        raise DegenerateDataError(
            f"none of {len(draws)} bootstrap draws has a figure; needed more rows or more draws"
        )
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def check_count(name: str, value: int) -> None:
    """Refuse a number of draws below 1."""
    if value < 1:
        raise ValueError(f"{name} is {value}; needed at least 1")


def draw_counts(n_units: int, n_draws: int, rng: np.random.Generator) -> Indices:
    """Draw ``n_units`` units with replacement; how often each came, shape (n_draws, n_units).

    Raises
    ------
    ValueError
        If there is no draw.
    """
    check_count("n_bootstrap", n_draws)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws)


def share_interval(is_hit: Mask, *, clusters: Indices | None = None) -> tuple[float, float, float]:
    """Give a share of rows with its 95 % interval.

    The exact one of Clopper and Pearson where the rows are independent. Where they come in
    clusters, the same at the effective number of rows, of Korn and Graubard: the number n* of
    independent rows whose share would vary as much as this one does over clusters, times
    ``(t_{n-1} / t_{G-1})^2`` of the G clusters, and at most n. Where few of them hold any of the
    rarer kind, these alone tell how much clusters vary, and their number and 3 stand for G - 1
    (ours: without it a share of 0.97 over 50 clusters was held 93 times in 100). Where all
    rows are alike clusters show no variance, and G counts: each may be all alike by itself.

    Parameters
    ----------
    is_hit : ndarray of bool, shape (n,)
        Which rows count.
    clusters : ndarray of int, shape (n,), optional
        Cluster of each row, numbered from 0.

    Returns
    -------
    value, low, high : float
        From 0 to 1.

    Raises
    ------
    DataError
        If there is no row.
    DegenerateDataError
        If all rows are of one cluster.

    References
    ----------
    Clopper and Pearson, *The use of confidence or fiducial limits illustrated in the case of the
    binomial*, Biometrika 26 (1934); Korn and Graubard, *Confidence intervals for proportions with
    small expected number of positive counts estimated from survey data*, Survey Methodology 24
    (1998).
    """
    if not (n := len(is_hit)):
        raise DataError("there are no rows to take a share of; needed at least 1")
    share, counted = float(is_hit.mean()), float(n)
    if clusters is not None:
        sums, sizes = _by_cluster(is_hit, clusters)
        n_clusters = len(sums)
        error2 = float(_spread(sums, sizes, share)) ** 2 / n_clusters
        telling = int((sums < sizes).sum() if share >= 0.5 else (sums > 0).sum())
        few = (student(n - 1) / student(min(n_clusters - 1, telling + 3))) ** 2
        apart = few * share * (1 - share)
        if apart == 0.0:
            counted = float(n_clusters)
        elif apart < n * error2:
            counted = apart / error2
    low, high = exact_limits(share * counted, counted)
    return share, float(low), float(high)


def mean_interval(
    values: Double | Mask,
    *,
    clusters: Indices | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Give a mean over rows with a 95 % interval over clusters that holds few and long tails.

    It goes as far as Student's or the studentised bootstrap's, whichever goes farther on its side:
    the one misses long tails, the other is now and then too sure of few clusters. Each replicate's
    mean, a ratio of sums where clusters differ in size, is measured in its own standard error. Of
    fewer than `FEW` clusters, which have no shape to draw from, it is Student's own.

    Parameters and errors are those of `share_interval`; without clusters the rows are drawn,
    ``n_bootstrap`` times.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), section 12.5.
    """
    codes = np.arange(len(values)) if clusters is None else clusters
    sums, sizes = _by_cluster(values, codes)
    value, rng, moved = float(np.mean(values)), np.random.default_rng(seed), []
    spread = float(_spread(sums, sizes, value))
    check_count("n_bootstrap", n_bootstrap)
    rounding = 1e-12 * max(1.0, abs(value))
    half = student(len(sums) - 1) * spread / float(np.sqrt(len(sums)))
    if len(sums) < FEW:
        return value, value - half, value + half
    for drawn in resamples(len(sums), n_bootstrap, rng):
        means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        of_drawn = _spread(sums[drawn], sizes[drawn], means[:, None])
        of_drawn[of_drawn <= rounding] = np.nan  # clusters that are alike, again and again
        moved.append((means - value) / of_drawn)
    if spread <= rounding:
        return value, value, value
    low, high = interval(np.concatenate(moved))
    low, high = value - high * spread, value - low * spread
    return value, min(low, value - half), max(high, value + half)


def _by_cluster(values: Double | Mask, clusters: Indices) -> tuple[Double, Double]:
    """Sum and number of the values of each cluster."""
    _, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DegenerateDataError(
            f"all {len(values)} rows are of one cluster, so an interval over clusters has no "
            "width; needed at least 2 clusters"
        )
    sums: Double = np.bincount(codes, weights=values).astype(np.float64)
    return sums, sizes.astype(np.float64)


def _spread(sums: Double, sizes: Double, mean: Double | float) -> Double:
    """Standard deviation over clusters, (..., n_clusters), of what makes a ratio of sums vary."""
    moved = (sums - mean * sizes) / sizes.mean(axis=-1, keepdims=True)
    found: Double = np.sqrt((moved**2).sum(axis=-1) / (sums.shape[-1] - 1))
    return found
