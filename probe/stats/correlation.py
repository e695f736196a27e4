"""Correlations and regression lines, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import student
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_rows
from probe.stats.validation import as_finite, is_constant


@dataclass(frozen=True)
class ShareCorrelation:
    """Correlation of bias score with labour-market shares; negative if the text is biased."""

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
    """Regression line ``bias_score = intercept + slope * share_women``."""

    slope: float
    """Change of the bias score from no woman to only women, in embedding units; negative when the
    text is biased, 0 without linear association."""
    low: float
    """Lower end of the 95 % bootstrap interval of the slope."""
    high: float
    """Upper end of the 95 % bootstrap interval of the slope."""
    intercept: float
    """Bias score of a subject without women, in embedding units."""
    r2: float
    """Share of the variance of the bias score that the labour market explains, from 0 to 1."""
    r2_low: float
    """Lower end of the 95 % bootstrap interval of ``r2``."""
    r2_high: float
    """Upper end of the 95 % bootstrap interval of ``r2``."""
    p: float
    """Two-sided p-value of slope = 0, of the t distribution."""
    n: int
    """Number of subjects."""


def share_correlation(
    bias_score_by_subject: Vector, share_women: Vector, *, resampling: Resampling = BOOTSTRAP
) -> ShareCorrelation:
    """Correlate the text bias score of subjects with the share of women in the labour market.

    Pearson's r, with the p-value of the t distribution. The interval is that of Fisher's
    ``z = atanh(r)``, whose standard error is the bootstrap's over subjects (pairs of bias score and
    share are drawn together: bias scores need not scatter alike everywhere), times Student's t.

    Parameters
    ----------
    bias_score_by_subject : ndarray of shape (n_subjects,)
        Bias score of each subject, positive = male.
    share_women : ndarray of shape (n_subjects,)
        Share of women in each subject, from 0 to 1.
    resampling : Resampling

    Returns
    -------
    ShareCorrelation
        ``r`` is 0 without association. As the bias score is positive for men, an encoder that
        follows the labour market gives a negative ``r``; it is reported as it is.

    Raises
    ------
    ShapeError
        If the two differ in shape.
    DataError
        If there are fewer than 3 subjects or a value is not finite.
    DegenerateDataError
        If all subjects have the same bias score, or the same share.
    """
    from scipy.stats import pearsonr

    bias_scores, shares = _as_subjects(bias_score_by_subject, share_women)
    result = pearsonr(bias_scores, shares)
    r = float(result.statistic)
    low, high = _correlation_limits(
        r, _draw_lines(bias_scores, shares, resampling)[1], len(bias_scores)
    )
    return ShareCorrelation(
        r=r,
        p=float(result.pvalue),
        low=low,
        high=high,
        n=len(bias_scores),
    )


def share_regression(
    bias_score_by_subject: Vector, share_women: Vector, *, resampling: Resampling = BOOTSTRAP
) -> ShareRegression:
    """Regress the text bias score of subjects on the share of women in the labour market.

    Ordinary least squares of ``bias_score = intercept + slope * share_women``: the share is counted
    in the world and taken as known, the bias score is what varies about the line. The slope's
    interval is Student's t times the standard error of the bootstrap over subjects, which does not
    ask for the same spread everywhere; that of ``r2`` is the square of r's, see
    `share_correlation`.

    Parameters
    ----------
    bias_score_by_subject, share_women, resampling
        As in `share_correlation`.

    Returns
    -------
    ShareRegression
        ``slope`` and ``r2`` are 0 without linear association. ``r2`` cannot be negative: its
        interval begins at 0 where r's holds 0.

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

    bias_scores, shares = _as_subjects(bias_score_by_subject, share_women)
    line = linregress(shares, bias_scores)
    slopes, correlations = _draw_lines(bias_scores, shares, resampling)
    slope, r = float(line.slope), float(line.rvalue)
    half = student(len(bias_scores) - 2) * float(slopes[np.isfinite(slopes)].std(ddof=1))
    ends = _correlation_limits(r, correlations, len(bias_scores))
    r2_low, r2_high = sorted(end**2 for end in ends)
    return ShareRegression(
        slope=slope,
        low=slope - half,
        high=slope + half,
        intercept=float(line.intercept),
        r2=r**2,
        r2_low=0.0 if ends[0] <= 0.0 <= ends[1] else r2_low,
        r2_high=r2_high,
        p=float(line.pvalue),
        n=len(bias_scores),
    )


def rank_correlation_limits(value: float, draws: Double, n: int) -> tuple[float, float]:
    """Place a rank correlation of n rows by bootstrap draws, on Fisher's scale, without their bias.

    Rows that are drawn twice lower a correlation, so the percentiles lie about a smaller one.
    Correlations of 1 are taken for half a step of ranks less. The limits are at least as far from
    the value as Student's.
    """
    edge = 1 - 6 / (n**3 - n)
    z, drawn = math.atanh(min(edge, max(-edge, value))), np.arctanh(np.clip(draws, -edge, edge))
    known = drawn[np.isfinite(drawn)]
    low, high = percentile_limits(known - known.mean())
    # the spread of draws of n rows is too small by the factor sqrt((n - 1) / n)
    half = student(max(n - 1, 1)) * math.sqrt(n / max(n - 1, 1)) * float(known.std())
    low, high = z + min(low, -half), z + max(high, half)
    return min(math.tanh(low), value), max(math.tanh(high), value)


def _correlation_limits(r: float, draws: Double, n: int) -> tuple[float, float]:
    """Ends of an interval of r, by Fisher's z with the standard error of bootstrap draws."""
    if n < 4 or abs(r) >= 1.0 - 1e-12:  # three points, or a line: nothing scatters
        return (-1.0, 1.0) if n < 4 else (r, r)
    # draws of few subjects may lie on a line, whose z is infinite
    z = np.arctanh(np.clip(draws[np.isfinite(draws)], -1 + 1e-9, 1 - 1e-9))
    half = student(n - 2) * float(z.std(ddof=1))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def _as_subjects(bias_score_by_subject: Vector, share_women: Vector) -> tuple[Double, Double]:
    bias_scores, shares = (
        as_finite(bias_score_by_subject, "bias_score"),
        as_finite(share_women, "share of women"),
    )
    if bias_scores.shape != shares.shape:
        raise ShapeError(
            f"there are {len(bias_scores)} bias scores and {len(shares)} shares; needed the same"
        )
    if len(bias_scores) < 3:
        raise DataError(f"a correlation needs at least 3 subjects, got {len(bias_scores)}")
    for name, values in (("bias_score", bias_scores), ("share of women", shares)):
        if is_constant(values):
            raise DegenerateDataError(
                f"all {len(values)} subjects have the same {name}, {values[0]:.4g}; needed "
                "subjects that differ"
            )
    return bias_scores, shares


def _draw_lines(
    bias_scores: Double, shares: Double, resampling: Resampling
) -> tuple[Double, Double]:
    """Redraw the subjects; return slope and r of each draw, not finite where all are the same."""
    drawn = [
        _lines(bias_scores[rows], shares[rows])
        for rows in resampled_rows(len(bias_scores), resampling.n, resampling.rng())
    ]
    slopes, correlations = zip(*drawn, strict=True)
    return np.concatenate(slopes), np.concatenate(correlations)


def _lines(bias_scores: Double, shares: Double) -> tuple[Double, Double]:
    """Slope of the bias score on the share, and Pearson's r, of each row."""
    bias_scores = bias_scores - bias_scores.mean(axis=1, keepdims=True)
    shares = shares - shares.mean(axis=1, keepdims=True)
    both, square = (bias_scores * shares).sum(axis=1), (shares**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return both / square, both / np.sqrt((bias_scores**2).sum(axis=1) * square)
