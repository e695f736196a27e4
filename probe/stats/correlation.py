"""Correlations and regression lines, with intervals."""

import math
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.confidence_limits import student
from probe.stats.resampling import percentile_limits
from probe.stats.validation import as_finite, is_constant

_NORMAL = 1.959963984540054  # 97.5 % point of the normal distribution


@dataclass(frozen=True)
class ShareCorrelation:
    """Correlation of bias score with labour-market shares; negative if the text is biased."""

    r: float
    """Pearson's r, from -1 to 1; 0 means no linear association."""
    p: float
    """Two-sided p-value of r = 0: up to 0.05 just where the interval excludes 0."""
    low: float
    """Lower limit of the 95 % interval of r, up to ``high``."""
    high: float
    n: int
    """Number of subjects."""


@dataclass(frozen=True)
class ShareRegression:
    """Regression line ``bias_score = intercept + slope * share_women``."""

    slope: float
    """Change of the bias score from no woman to only women, in embedding units; negative when the
    text is biased, 0 without linear association."""
    low: float
    """Lower limit of the 95 % interval of the slope, up to ``high``."""
    high: float
    intercept: float
    """Bias score of a subject without women, in embedding units."""
    r2: float
    """Share of the variance of the bias score that the labour market explains, from 0 to 1."""
    r2_low: float
    """Lower limit of the 95 % interval of ``r2``, up to ``r2_high``."""
    r2_high: float
    p: float
    """Two-sided p-value of slope = 0: up to 0.05 just where the interval excludes 0."""
    n: int
    """Number of subjects."""


def share_correlation(bias_score_by_subject: Vector, share_women: Vector) -> ShareCorrelation:
    """Correlate the text bias score of subjects with the share of women in the labour market.

    Pearson's r, on the scale of Fisher's ``z = atanh(r)``. The interval is the wider one of
    Fisher's, ``z -+ 1.96 / sqrt(n - 3)``, which holds for normal variables, and of Student's with
    the standard error by the influence of each subject on z, which allows bias scores to vary more
    at some shares than at others:

    ``s^2 = sum_i (u_i v_i - r (u_i^2 + v_i^2) / 2)^2 / (1 - r^2)^2 / ((n - 1) (n - 3))``

    for standardised scores u and shares v. The p-value is the larger one of both tests.

    Parameters
    ----------
    bias_score_by_subject : ndarray of shape (n_subjects,)
        Bias score of each subject, positive = male.
    share_women : ndarray of shape (n_subjects,)
        Share of women in each subject, from 0 to 1.

    Returns
    -------
    ShareCorrelation
        ``r`` is 0 without association. As the bias score is positive for men, an encoder that
        follows the labour market gives a negative ``r``; its sign is not changed. Three subjects
        say nothing: the interval is [-1, 1] and p is 1.

    Raises
    ------
    ShapeError
        If the two differ in shape.
    DataError
        If there are fewer than 3 subjects or a value is not finite.
    DegenerateDataError
        If all subjects have the same bias score, or the same share.

    References
    ----------
    Fisher, *On the probable error of a coefficient of correlation deduced from a small sample*,
    Metron 1 (1921); Devlin, Gnanadesikan, Kettenring, *Robust estimation and outlier detection
    with correlation coefficients*, Biometrika 62 (1975), for the influence.
    """
    from scipy.special import ndtr, stdtr

    bias_scores, shares = _as_subjects(bias_score_by_subject, share_women)
    n = len(bias_scores)
    u, v = ((of - of.mean()) / of.std() for of in (bias_scores, shares))
    r = float(np.clip((u * v).mean(), -1.0, 1.0))
    if n < 4:
        return ShareCorrelation(r=r, p=1.0, low=-1.0, high=1.0, n=n)
    if abs(r) >= 1.0 - 1e-12:  # a line: nothing scatters about it
        return ShareCorrelation(r=r, p=0.0, low=r, high=r, n=n)
    z, influence = math.atanh(r), (u * v - r * (u**2 + v**2) / 2) / (1 - r**2)
    error = math.sqrt(float((influence**2).sum()) / ((n - 1) * (n - 3)))
    normal = 1 / math.sqrt(n - 3)
    half = max(_NORMAL * normal, student(n - 2) * error)
    p = max(2 * float(ndtr(-abs(z) / normal)), 2 * float(stdtr(n - 2, -abs(z) / error)))
    return ShareCorrelation(r=r, p=p, low=math.tanh(z - half), high=math.tanh(z + half), n=n)


def share_regression(bias_score_by_subject: Vector, share_women: Vector) -> ShareRegression:
    """Regress the text bias score of subjects on the share of women in the labour market.

    Ordinary least squares of ``bias_score = intercept + slope * share_women``: the share is counted
    in the world and taken as known, the bias score is what varies about the line. The interval of
    the slope is Student's with the larger one of the usual standard error and of HC3, which allows
    another spread at each share; p is of the same test. That of ``r2`` is the square of r's, see
    `share_correlation`.

    Parameters
    ----------
    bias_score_by_subject, share_women
        As in `share_correlation`.

    Returns
    -------
    ShareRegression
        ``slope`` and ``r2`` are 0 without linear association. ``r2`` cannot be negative: its
        interval begins at 0 where r's includes 0.

    References
    ----------
    MacKinnon and White, *Some heteroskedasticity-consistent covariance matrix estimators with
    improved finite sample properties*, J. Econometrics 29 (1985), for HC3; Garg, Schiebinger,
    Jurafsky, Zou, *Word embeddings quantify 100 years of gender and ethnic stereotypes*, PNAS 115
    (2018), for regressions of embedding bias on occupation shares.
    """
    from scipy.special import stdtr

    bias_scores, shares = _as_subjects(bias_score_by_subject, share_women)
    n, x = len(bias_scores), shares - shares.mean()
    square = float(x @ x)
    slope = float(x @ bias_scores) / square
    rest = bias_scores - bias_scores.mean() - slope * x
    usual = math.sqrt(float(rest @ rest) / (n - 2) / square)
    leverage = 1 / n + x**2 / square
    # a subject that alone determines the line has no residual
    free = np.divide(rest, 1 - leverage, out=np.zeros(n), where=leverage < 1 - 1e-12)
    error = max(usual, math.sqrt(float(((x * free) ** 2).sum())) / square)
    half = student(n - 2) * error
    r = share_correlation(bias_scores, shares)
    r2_low, r2_high = sorted((r.low**2, r.high**2))
    return ShareRegression(
        slope=slope,
        low=slope - half,
        high=slope + half,
        intercept=float(bias_scores.mean() - slope * shares.mean()),
        r2=r.r**2,
        r2_low=0.0 if r.low <= 0.0 <= r.high else r2_low,
        r2_high=r2_high,
        p=2 * float(stdtr(n - 2, -abs(slope) / error)) if error > 0 else 0.0,
        n=n,
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


def _as_subjects(bias_score_by_subject: Vector, share_women: Vector) -> tuple[Double, Double]:
    bias_scores = as_finite(bias_score_by_subject, "bias_score")
    shares = as_finite(share_women, "share of women")
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
