"""Fairness figures at infinitely many pictures: the bias of few pictures, taken out in part."""

from __future__ import annotations

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import as_counts, as_target, measure_shares

_GRID = 101  # shares of the first of two values
_N_SUPPORT = 600  # support points of more values, at most about so many
_N_STEPS = 200


def deconvolved_figures(counts: Counts, *, target: Double | None = None) -> dict[str, float]:
    """Estimate what fairness figures would be with infinitely many pictures of each subject.

    Every measure is convex in the shares, so few pictures make it larger: a fair model scores the
    noise floor. The distribution of the true shares over subjects is estimated by nonparametric
    maximum likelihood, assuming that counts are multinomial and that subjects are independent
    draws from it; the figure of each subject is averaged over its posterior, and these over
    subjects. The estimate is consistent as subjects grow in number, but slowly where many of them
    are exactly fair, which is where the measures have their kink: of 40 subjects of 10 pictures,
    half of them fair and half at 0.02 or 0.98 (truth 0.240, observed 0.301), about half of the
    bias is taken out. It is corrected in part, and its interval says so (`audit_figures`).

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
    target : ndarray of shape (K,) or (n_subjects, K), optional
        As for `probe.audit.fairness.fairness_figures`.

    Returns
    -------
    dict of str to float
        Keys are `probe.audit.measures.MEASURES`.

    References
    ----------
    Kiefer and Wolfowitz, *Consistency of the maximum likelihood estimator in the presence of
    infinitely many incidental parameters*, Ann. Math. Stat. 27 (1956); Laird, *Nonparametric
    maximum likelihood estimation of a mixing distribution*, JASA 73 (1978), for the EM algorithm.
    """
    from scipy.special import xlogy

    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    support = _support(counts, fair)  # (n_points, K)
    logs = np.array([xlogy(row, support).sum(axis=1) for row in counts])
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))  # (n_subjects, n_points)
    weights = np.full(len(support), 1 / len(support))
    for _ in range(_N_STEPS):
        weights = weights * ((1 / (likelihood @ weights)) @ likelihood) / len(counts)
    posterior = likelihood * weights
    posterior /= posterior.sum(axis=1, keepdims=True)
    targets, codes = np.unique(fair, axis=0, return_inverse=True)
    figures = [measure_shares(support, row) for row in targets]
    by_target = [figures[code] for code in codes.ravel()]
    return {
        name: float(np.mean([p @ of[name] for p, of in zip(posterior, by_target, strict=True)]))
        for name in figures[0]
    }


def _support(counts: Counts, fair: Double) -> Double:
    """Shares that a subject may have: a grid for two values, else between target and observed."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    if counts.shape[1] == 2:
        first = np.unique([*np.linspace(0.0, 1.0, _GRID), *shares[:, 0], *fair[:, 0]])
        return np.stack([first, 1 - first], axis=1)
    pairs = np.unique(np.hstack([shares, fair]), axis=0)
    observed, targets = np.hsplit(pairs, 2)
    n_factors = max(3, _N_SUPPORT // len(pairs))
    factors = np.linspace(0.0, 1.0, min(n_factors, 17))[:, None, None]
    points = (targets + factors * (observed - targets)).reshape(-1, counts.shape[1])
    return np.asarray(np.unique(points, axis=0))
