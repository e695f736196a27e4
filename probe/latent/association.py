"""How strongly a bias axis goes with the world: correlations and gaps, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import Double, Mask, Vector, as_groups

_Draws: TypeAlias = npt.NDArray[np.intp]

_COVERAGE = (0.025, 0.975)
_CELLS = 4_000_000  # drawn numbers held at once, 32 MB: bounds memory, not the result


@dataclass(frozen=True)
class ShareCorrelation:
    """Correlation of text skew with labour-market shares; negative when the text is biased."""

    r: float
    """Pearson's r, from -1 to 1; 0 means no linear association."""
    p: float
    """Two-sided p-value of r = 0."""
    low: float
    """Lower end of the 95 % bootstrap interval of r."""
    high: float
    """Upper end of the 95 % bootstrap interval of r."""
    n: int
    """Number of subjects."""


@dataclass(frozen=True)
class GroupGap:
    """Male minus female mean score, with its 95 % bootstrap interval, in embedding units."""

    value: float
    low: float
    high: float


def share_correlation(
    skew_by_subject: Vector, share_women: Vector, *, n_bootstrap: int = 2000, seed: int = 0
) -> ShareCorrelation:
    """Correlate the text skew of subjects with the share of women in the labour market.

    Pearson's r, with the p-value of the t distribution and a percentile bootstrap interval over
    subjects (pairs of skew and share are drawn together).

    Parameters
    ----------
    skew_by_subject : ndarray of shape (n_subjects,)
        Skew of each subject, positive = male.
    share_women : ndarray of shape (n_subjects,)
        Share of women in each subject, from 0 to 1.
    n_bootstrap : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    ShareCorrelation
        ``r`` is 0 without association. As the skew is positive for men, an encoder that follows
        the labour market gives a negative ``r``; it is reported as it is.

    Raises
    ------
    ShapeError
        If the two differ in shape.
    DataError
        If there are fewer than 3 subjects or a value is not finite.
    DegenerateDataError
        If all subjects have the same skew, or the same share.
    """
    from scipy.stats import pearsonr

    skews, shares = _finite(skew_by_subject, "skew"), _finite(share_women, "share of women")
    if skews.shape != shares.shape:
        raise ShapeError(f"there are {len(skews)} skews and {len(shares)} shares; needed the same")
    if len(skews) < 3:
        raise DataError(f"a correlation needs at least 3 subjects, got {len(skews)}")
    for name, values in (("skew", skews), ("share of women", shares)):
        if _is_constant(values):
            raise DegenerateDataError(
                f"all {len(values)} subjects have the same {name}, {values[0]:.4g}; needed "
                "subjects that differ"
            )
    result = pearsonr(skews, shares)
    draws = np.concatenate(
        [
            _row_correlations(skews[rows], shares[rows])
            for rows in _resamples(len(skews), n_bootstrap, np.random.default_rng(seed))
        ]
    )
    low, high = np.quantile(draws[np.isfinite(draws)], _COVERAGE)
    return ShareCorrelation(
        r=float(result.statistic),
        p=float(result.pvalue),
        low=float(low),
        high=float(high),
        n=len(skews),
    )


def group_gap(scores: Vector, is_male: Mask, *, n_bootstrap: int = 2000, seed: int = 0) -> GroupGap:
    """Measure how far apart the two gender groups stand on the bias axis.

    ``mean(male) - mean(female)``, with a percentile bootstrap interval (each group is drawn from
    itself).

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Projections of prompts on the axis, positive = male.
    is_male : ndarray of bool, shape (n,)
        Which prompts are of the male group; the others are of the female group.
    n_bootstrap : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    GroupGap
        In embedding units. 0 means that the axis does not tell the groups apart.

    Raises
    ------
    ShapeError, DataError
        If the shapes differ, a score is not finite, or a group is empty.
    """
    scores = _finite(scores, "score")
    is_male = as_groups(is_male, n_rows=len(scores))
    male, female = scores[is_male], scores[~is_male]
    rng = np.random.default_rng(seed)
    draws = _resampled_means(male, n_bootstrap, rng) - _resampled_means(female, n_bootstrap, rng)
    low, high = np.quantile(draws, _COVERAGE)
    return GroupGap(value=float(male.mean() - female.mean()), low=float(low), high=float(high))


def _finite(values: Vector, name: str) -> Double:
    found: Double = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ShapeError(f"{name} needs one dimension, got shape {found.shape}")
    if n_bad := int((~np.isfinite(found)).sum()):
        raise DataError(f"{n_bad} of {len(found)} values of {name} are not finite; drop them")
    return found


def _is_constant(values: Double) -> bool:
    # below this spread, what is left after subtracting the mean is rounding
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _resamples(n: int, n_bootstrap: int, rng: np.random.Generator) -> list[_Draws]:
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; needed at least 1")
    chunk = max(1, _CELLS // n)
    sizes = [min(chunk, n_bootstrap - start) for start in range(0, n_bootstrap, chunk)]
    return [rng.integers(n, size=(size, n)) for size in sizes]


def _resampled_means(values: Double, n_bootstrap: int, rng: np.random.Generator) -> Double:
    return np.concatenate(
        [values[rows].mean(axis=1) for rows in _resamples(len(values), n_bootstrap, rng)]
    )


def _row_correlations(x: Double, y: Double) -> Double:
    """Pearson's r of each row; not finite where a draw holds one subject only."""
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        r: Double = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return r
