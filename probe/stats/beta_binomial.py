"""Beta-binomial regression: counts whose shares vary about a logistic curve."""

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import DegenerateDataError

_PRIOR_SCALE = 5.0  # of intercept and slope on the logit scale, per standard deviation of x


def posterior(x: Double, women: Counts, images: Counts) -> tuple[Double, Double]:
    """Find the peak of the posterior over (a, b, c), and its covariance there, (3,) and (3, 3).

    ``women ~ BetaBinomial(images, mu phi, (1 - mu) phi)`` with ``mu = expit(a + b x)`` and
    ``1 / (1 + phi) = expit(c)``, x in standard units; a and b have normal priors of scale 5,
    ``expit(c)`` a uniform one. The covariance is the inverse curvature of the log posterior.

    Raises
    ------
    DegenerateDataError
        If the search ends anywhere else than at a peak, as with counts of millions that lie on
        the curve.
    """
    from scipy.optimize import minimize

    def cost(parameters: Double) -> float:
        return minus_log_posterior(parameters, x, women, images)[0]

    def slope(parameters: Double) -> Double:
        return minus_log_posterior(parameters, x, women, images)[1]

    def curvature(parameters: Double) -> Double:
        step = 1e-4  # parameters are of size 1
        rows = [slope(parameters + move) - slope(parameters - move) for move in step * np.eye(3)]
        return (np.array(rows) + np.array(rows).T) / (4 * step)

    # Newton with exact gradients: with many images, a and b are a thousand times more certain than
    # the correlation, and a search along approximate gradients fails.
    logits = np.log((women + 0.5) / (images - women + 0.5))
    start = np.array([*np.polyfit(x, logits, 1)[::-1], 0.0])
    found = minimize(cost, start, jac=slope, hess=curvature, method="trust-exact")
    peak: Double = found.x
    covariance = np.asarray(np.linalg.inv(curvature(peak)), dtype=np.float64)
    # the solver also fails by rounding at the peak itself, where a Newton step gains nothing
    gain = float(found.jac @ covariance @ found.jac) / 2
    if not found.success and (np.linalg.eigvalsh(covariance)[0] <= 0.0 or gain > 1e-3):
        raise DegenerateDataError(
            f"the search for the likeliest curve of {len(x)} subjects with up to {images.max():,} "
            f"images ended early ({found.message.rstrip('.')}); needed shares that vary about the "
            "curve, or fewer images"
        )
    return peak, covariance


def minus_log_posterior(
    parameters: Double, x: Double, women: Counts, images: Counts
) -> tuple[float, Double]:
    """Value and gradient; what does not depend on the parameters is left out."""
    from scipy.special import betaln, digamma, expit

    a, b, c = parameters
    mean, precision = share_of_logit(a + b * x), np.exp(-c)
    alpha, beta = mean * precision, (1 - mean) * precision
    value = (betaln(women + alpha, images - women + beta) - betaln(alpha, beta)).sum()
    value -= (a**2 + b**2) / (2 * _PRIOR_SCALE**2) + np.logaddexp(0, c) + np.logaddexp(0, -c)
    both = digamma(precision) - digamma(images + precision)
    by_alpha = digamma(women + alpha) - digamma(alpha) + both
    by_beta = digamma(images - women + beta) - digamma(beta) + both
    by_logit = (by_alpha - by_beta) * precision * mean * (1 - mean)
    gradient = [
        by_logit.sum() - a / _PRIOR_SCALE**2,
        (by_logit * x).sum() - b / _PRIOR_SCALE**2,
        -(alpha * by_alpha + beta * by_beta).sum() + 1 - 2 * expit(c),
    ]
    return -float(value), -np.array(gradient)


def draw_shares(means: Double, precision: Double, rng: np.random.Generator) -> Double:
    """Draw true shares about their means, (n, n_draws), with one precision a draw."""
    return rng.beta(means * precision, (1 - means) * precision)


def share_of_logit(logits: Double) -> Double:
    """Turn log odds into shares, kept off 0 and 1, where a beta distribution has no shape."""
    from scipy.special import expit

    shares: Double = np.clip(expit(logits), 1e-12, 1 - 1e-12)
    return shares
