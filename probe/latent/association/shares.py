"""How strongly a bias axis goes with the world: correlations and gaps, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import Double, Mask, Vector, as_groups
from probe.latent.resampling import as_finite, interval, is_constant, resamples


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
class ShareRegression:
    """Line of text skew on labour-market shares: ``skew = intercept + slope * share_women``."""

    slope: float
    """Change of the skew from no woman to only women, in embedding units; negative when the text
    is biased, 0 without linear association."""
    low: float
    """Lower end of the 95 % bootstrap interval of the slope."""
    high: float
    """Upper end of the 95 % bootstrap interval of the slope."""
    intercept: float
    """Skew of a subject without women, in embedding units."""
    r2: float
    """Share of the variance of the skew that the labour market explains, from 0 to 1."""
    r2_low: float
    """Lower end of the 95 % bootstrap interval of ``r2``."""
    r2_high: float
    """Upper end of the 95 % bootstrap interval of ``r2``."""
    p: float
    """Two-sided p-value of slope = 0, of the t distribution."""
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

    skews, shares = _as_subjects(skew_by_subject, share_women)
    result = pearsonr(skews, shares)
    low, high = interval(_draw_lines(skews, shares, n_bootstrap, seed)[1])
    return ShareCorrelation(
        r=float(result.statistic),
        p=float(result.pvalue),
        low=low,
        high=high,
        n=len(skews),
    )


def share_regression(
    skew_by_subject: Vector, share_women: Vector, *, n_bootstrap: int = 2000, seed: int = 0
) -> ShareRegression:
    """Regress the text skew of subjects on the share of women in the labour market.

    Ordinary least squares of ``skew = intercept + slope * share_women``: the share is counted in
    the world and taken as known, the skew is what varies about the line. Intervals are percentile
    bootstraps over subjects, which do not ask for the same spread everywhere.

    Parameters
    ----------
    skew_by_subject, share_women, n_bootstrap, seed
        As in `share_correlation`.

    Returns
    -------
    ShareRegression
        ``slope`` and ``r2`` are 0 without linear association. ``r2`` cannot be negative, so its
        interval does not reach 0: read from the slope's whether there is an association at all.

    Raises
    ------
    ShapeError, DataError, DegenerateDataError
        As in `share_correlation`.

    References
    ----------
    Garg, Schiebinger, Jurafsky, Zou, *Word embeddings quantify 100 years of gender and ethnic
    stereotypes*, PNAS 115 (2018), for regressions of embedding bias on occupation shares.
    """
    from scipy.stats import linregress

    skews, shares = _as_subjects(skew_by_subject, share_women)
    line = linregress(shares, skews)
    slopes, correlations = _draw_lines(skews, shares, n_bootstrap, seed)
    low, high = interval(slopes)
    r2_low, r2_high = interval(correlations**2)
    return ShareRegression(
        slope=float(line.slope),
        low=low,
        high=high,
        intercept=float(line.intercept),
        r2=float(line.rvalue) ** 2,
        r2_low=r2_low,
        r2_high=r2_high,
        p=float(line.pvalue),
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
    scores = as_finite(scores, "score")
    is_male = as_groups(is_male, n_rows=len(scores))
    male, female = scores[is_male], scores[~is_male]
    rng = np.random.default_rng(seed)
    draws = _resampled_means(male, n_bootstrap, rng) - _resampled_means(female, n_bootstrap, rng)
    low, high = interval(draws)
    return GroupGap(value=float(male.mean() - female.mean()), low=low, high=high)


def _resampled_means(values: Double, n_bootstrap: int, rng: np.random.Generator) -> Double:
    return np.concatenate(
        [values[rows].mean(axis=1) for rows in resamples(len(values), n_bootstrap, rng)]
    )


def _as_subjects(skew_by_subject: Vector, share_women: Vector) -> tuple[Double, Double]:
    skews, shares = as_finite(skew_by_subject, "skew"), as_finite(share_women, "share of women")
    if skews.shape != shares.shape:
        raise ShapeError(f"there are {len(skews)} skews and {len(shares)} shares; needed the same")
    if len(skews) < 3:
        raise DataError(f"a correlation needs at least 3 subjects, got {len(skews)}")
    for name, values in (("skew", skews), ("share of women", shares)):
        if is_constant(values):
            raise DegenerateDataError(
                f"all {len(values)} subjects have the same {name}, {values[0]:.4g}; needed "
                "subjects that differ"
            )
    return skews, shares


def _draw_lines(
    skews: Double, shares: Double, n_bootstrap: int, seed: int
) -> tuple[Double, Double]:
    """Redraw the subjects; return slope and r of each draw, not finite where all are the same."""
    drawn = [
        _lines(skews[rows], shares[rows])
        for rows in resamples(len(skews), n_bootstrap, np.random.default_rng(seed))
    ]
    slopes, correlations = zip(*drawn, strict=True)
    return np.concatenate(slopes), np.concatenate(correlations)


def _lines(skews: Double, shares: Double) -> tuple[Double, Double]:
    """Slope of the skew on the share, and Pearson's r, of each row."""
    skews = skews - skews.mean(axis=1, keepdims=True)
    shares = shares - shares.mean(axis=1, keepdims=True)
    both, square = (skews * shares).sum(axis=1), (shares**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return both / square, both / np.sqrt((skews**2).sum(axis=1) * square)
