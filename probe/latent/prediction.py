"""The share of women in a subject's images, predicted from the bias score of its prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probe.arrays import Counts, Double, Vector
from probe.errors import DataError, DegenerateDataError
from probe.stats.beta_binomial import draw_shares, posterior, share_of_logit
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, chunks, percentile_limits, resampled_rows
from probe.stats.validation import as_finite, is_constant

MIN_LEARNT = 6
"""Least number of subjects that `SharePredictor` can be fitted to."""
MIN_CALIBRATED = 3
"""Least number of subjects that a calibration can be measured on."""

_TAILS = (0.025, 0.975)  # of all intervals


@dataclass(frozen=True, eq=False)
class SharePrediction:
    """Expected shares of women with prediction intervals, each of shape (n,)."""

    share: Double
    """Expected share of women, from 0 to 1; 1/2 means as many women as men."""
    low: Double
    high: Double


@dataclass(frozen=True)
class Calibration:
    """How well the shares of subjects that were not fitted are predicted."""

    r2: float
    """Share of the variance of the observed shares that is explained; 1 is exact, 0 is no better
    than their mean, negative is worse."""
    r2_low: float
    """Limits of the 95 % bootstrap interval of ``r2`` over subjects."""
    r2_high: float
    coverage: float
    """Share of subjects whose observed share lies in its prediction interval, with its exact 95 %
    limits."""
    coverage_low: float
    coverage_high: float
    confidence: float
    """Nominal coverage."""
    width: float
    """Mean width of the intervals: 1 covers all shares, 0 none but one."""
    n: int
    """Number of subjects."""


class SharePredictor(BaseEstimator):
    """Predict the share of women among a subject's images from the bias score of its prompt.

    The true share of a subject with bias score x is drawn from a beta distribution of mean
    ``mu = 1 / (1 + exp(-(a + b x)))`` and precision ``phi``, and its ``n`` images from a binomial
    distribution of that share: the counts are beta-binomial. ``1 / (1 + phi)`` is the correlation
    of two images of one subject beyond what the bias score explains: the uncertainty that more
    images of other subjects cannot reduce. The maximum of the
    likelihood times weak priors (normal with scale 5 on ``a`` and on ``b`` per standard deviation
    of bias score, uniform on ``1 / (1 + phi)``) is found, and its uncertainty is that of the
    curvature there. Prediction intervals include all three uncertainties: of the parameters, of the
    subject's true share, and of a finite number of images.

    Shares of image models accumulate at 0 and at 1, as a beta distribution can. On the published
    counts of Stable Diffusion v1.5, the mean log likelihood of held-out occupations was -5.14,
    against -5.16 of a normal distribution on the logit scale and -5.72 of a straight line.

    Parameters
    ----------
    n_draws : int, default=4000
        Number of draws behind each interval.
    seed : int, default=0
        Seed of the draws.

    Attributes
    ----------
    intercept_ : float
        ``a``: log odds of a woman at bias score 0.
    slope_ : float
        ``b``: change of the log odds for one unit of bias score; negative when the images follow
        the text, as the bias score is positive for men.
    slope_interval_ : tuple of float
        95 % confidence limits of the slope.
    correlation_ : float
        ``1 / (1 + phi)``, from 0 (the bias score explains all) to 1 (every subject has one gender
        only).
    n_subjects_ : int
        Number of subjects in the fit.

    References
    ----------
    Prentice, *Binary regression using an extended beta-binomial distribution*, JASA 81 (1986).
    """

    def __init__(self, *, n_draws: int = 4000, seed: int = 0) -> None:
        self.n_draws = n_draws
        self.seed = seed

    def fit(self, bias_score: Vector, n_women: Counts, n_images: Counts) -> SharePredictor:
        """Fit the curve to subjects whose images were counted.

        Parameters
        ----------
        bias_score : ndarray of shape (n_subjects,)
            Bias score of each subject's prompt, positive = male.
        n_women, n_images : ndarray of int, shape (n_subjects,)
            Number of images that show a woman, and of all images of the subject.

        Raises
        ------
        DataError
            If there are fewer than 6 subjects, a bias score is not finite, or all subjects have
            the same bias score.
        """
        bias_scores = as_finite(bias_score, "bias_score")
        if len(bias_scores) < MIN_LEARNT:
            raise DataError(
                f"a prediction needs at least {MIN_LEARNT} subjects to fit, got {len(bias_scores)}"
            )
        if is_constant(bias_scores):
            raise DegenerateDataError(
                f"all {len(bias_scores)} subjects have the same bias score, {bias_scores[0]:.4g}; "
                "needed subjects that differ"
            )
        # On standard units the search and the priors do not depend on the encoder's scale.
        self._center, self._scale = float(bias_scores.mean()), float(bias_scores.std())
        peak, covariance = posterior((bias_scores - self._center) / self._scale, n_women, n_images)
        rng = np.random.default_rng(self.seed)
        moves = rng.multivariate_normal(np.zeros(3), covariance, size=self.n_draws)
        # Student's t in place of the normal, as in any regression of few subjects
        spare = len(bias_scores) - 3
        self._draws = peak + moves * np.sqrt(spare / rng.chisquare(spare, self.n_draws))[:, None]
        self.slope_ = float(peak[1]) / self._scale
        self.intercept_ = float(peak[0]) - self.slope_ * self._center
        self.correlation_ = float(share_of_logit(peak[2]))
        low, high = np.quantile(self._draws[:, 1] / self._scale, _TAILS)
        self.slope_interval_ = (float(low), float(high))
        self.n_subjects_ = len(bias_scores)
        return self

    def predict(
        self, bias_score: Vector, *, n_images: int | Counts | None = None
    ) -> SharePrediction:
        """Predict the shares of women of new subjects from their bias scores, shape (n,).

        With ``n_images`` (one number, or one a subject) the interval is that of the share among so
        many images; without it, that of the subject's true share.
        """
        check_is_fitted(self, "slope_")
        bias_scores = as_finite(bias_score, "bias_score")
        images = None if n_images is None else np.broadcast_to(n_images, bias_scores.shape)
        x = (bias_scores - self._center) / self._scale
        rng = np.random.default_rng(self.seed)
        precision = np.exp(-np.clip(self._draws[:, 2], -25.0, 25.0))  # beyond, nothing changes
        found = np.empty((3, len(x)))
        start = 0
        for size in chunks(len(x), self.n_draws):
            rows = slice(start, start + size)
            means = share_of_logit(self._draws[:, 0] + np.outer(x[rows], self._draws[:, 1]))
            shares = draw_shares(means, precision, rng)  # (size, n_draws)
            if images is not None:
                counts = images[rows, None]
                shares = rng.binomial(counts, shares) / counts
            found[0, rows] = means.mean(axis=1)
            found[1:, rows] = np.quantile(shares, _TAILS, axis=1)
            start += size
        return SharePrediction(share=found[0], low=found[1], high=found[2])

    def calibration(
        self,
        bias_score: Vector,
        n_women: Counts,
        n_images: Counts,
        *,
        resampling: Resampling = BOOTSTRAP,
    ) -> Calibration:
        """Measure the prediction on subjects that were not fitted, with the arguments of `fit`.

        The coverage is somewhat too high where images are few, as their shares are coarse.
        """
        seen = n_women / n_images
        if len(seen) < MIN_CALIBRATED:
            raise DataError(
                f"a calibration needs at least {MIN_CALIBRATED} subjects, got {len(seen)}"
            )
        if is_constant(seen):
            raise DegenerateDataError(
                f"all {len(seen)} subjects have the same share of women, {seen[0]:.4g}; needed "
                "subjects that differ"
            )
        found = self.predict(bias_score, n_images=n_images)
        is_inside = (found.low <= seen) & (seen <= found.high)
        coverage = binomial_interval(int(is_inside.sum()), len(seen))
        draws = [
            _r2(seen[rows], found.share[rows])
            for rows in resampled_rows(len(seen), resampling.n, resampling.rng())
        ]
        low, high = percentile_limits(np.concatenate(draws))
        return Calibration(
            r2=float(_r2(seen[None], found.share[None])[0]),
            r2_low=low,
            r2_high=high,
            coverage=coverage.value,
            coverage_low=coverage.low,
            coverage_high=coverage.high,
            confidence=_TAILS[1] - _TAILS[0],
            width=float((found.high - found.low).mean()),
            n=len(seen),
        )


def _r2(seen: Double, predicted: Double) -> Double:
    """Explained share of the variance of each row; not finite where a row is constant."""
    spread = ((seen - seen.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2: Double = 1 - ((seen - predicted) ** 2).sum(axis=1) / spread
    return r2
