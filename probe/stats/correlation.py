"""How strongly a bias axis goes with the world: correlations and gaps, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Mask, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.bootstrap import as_finite, as_groups, interval, is_constant, resamples
from probe.stats.confidence_limits import FEW, student


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


@dataclass(frozen=True)
class GroupGap:
    """Male minus female mean score, with its 95 % bootstrap interval, in embedding units."""

    value: float
    low: float
    high: float


def share_correlation(
    bias_score_by_subject: Vector, share_women: Vector, *, n_bootstrap: int = 2000, seed: int = 0
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
    n_bootstrap : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap.

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
        r, _draw_lines(bias_scores, shares, n_bootstrap, seed)[1], len(bias_scores)
    )
    return ShareCorrelation(
        r=r,
        p=float(result.pvalue),
        low=low,
        high=high,
        n=len(bias_scores),
    )


def share_regression(
    bias_score_by_subject: Vector, share_women: Vector, *, n_bootstrap: int = 2000, seed: int = 0
) -> ShareRegression:
    """Regress the text bias score of subjects on the share of women in the labour market.

    Ordinary least squares of ``bias_score = intercept + slope * share_women``: the share is counted
    in the world and taken as known, the bias score is what varies about the line. The slope's
    interval is Student's t times the standard error of the bootstrap over subjects, which does not
    ask for the same spread everywhere; that of ``r2`` is the square of r's, see
    `share_correlation`.

    Parameters
    ----------
    bias_score_by_subject, share_women, n_bootstrap, seed
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
    slopes, correlations = _draw_lines(bias_scores, shares, n_bootstrap, seed)
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


def group_gap(scores: Vector, is_male: Mask, *, n_bootstrap: int = 2000, seed: int = 0) -> GroupGap:
    """Measure how far apart the two gender groups stand on the bias axis.

    ``mean(male) - mean(female)``. The interval goes as far as Welch's or the studentised
    bootstrap's (each group is drawn from itself, and every replicate measured in its own standard
    error), whichever goes farther on its side; of fewer than `FEW` prompts a side it is Welch's. A
    side of one prompt has no spread of its own, and lends none.

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
    sides = [_resampled(group, n_bootstrap, rng) for group in (male, female)]
    value = float(male.mean() - female.mean())
    half = _welch(male, female)
    if min(len(male), len(female)) < FEW:
        return GroupGap(value=value, low=value - half, high=value + half)
    error = math.sqrt(male.var() / len(male) + female.var() / len(female))
    moved, errors = sides[0][0] - sides[1][0] - value, np.sqrt(sides[0][1] + sides[1][1])
    has_spread = errors > 1e-12 * max(1.0, abs(value))
    if error == 0.0 or not has_spread.any():
        return GroupGap(value=value, low=value, high=value)
    low, high = interval(moved[has_spread] / errors[has_spread])
    low, high = min(value - high * error, value - half), max(value - low * error, value + half)
    return GroupGap(value=value, low=low, high=high)


def _welch(a: Double, b: Double) -> float:
    """Half of Welch's interval of a difference of two means."""
    sides = [(of.var(ddof=1) / len(of), len(of) - 1) for of in (a, b) if len(of) > 1]
    error2 = float(sum(each for each, _ in sides))
    if error2 == 0.0:
        return 0.0
    freedom = error2**2 / sum(each**2 / freedom for each, freedom in sides)
    return student(freedom) * math.sqrt(error2)


def _resampled(values: Double, n_bootstrap: int, rng: np.random.Generator) -> tuple[Double, Double]:
    """Mean of each replicate, and its squared standard error."""
    drawn = [values[rows] for rows in resamples(len(values), n_bootstrap, rng)]
    means, variances = zip(*((of.mean(axis=1), of.var(axis=1)) for of in drawn), strict=True)
    return np.concatenate(means), np.concatenate(variances) / len(values)


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
    bias_scores: Double, shares: Double, n_bootstrap: int, seed: int
) -> tuple[Double, Double]:
    """Redraw the subjects; return slope and r of each draw, not finite where all are the same."""
    drawn = [
        _lines(bias_scores[rows], shares[rows])
        for rows in resamples(len(bias_scores), n_bootstrap, np.random.default_rng(seed))
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
