"""Fairness figures corrected in part for the bias that few images of each subject add."""

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.fairness import FairnessFigure, fairness_figures
from probe.audit.measures import as_counts, as_target, measure_shares
from probe.stats.resampling import BOOTSTRAP, Resampling

_GRID = 101  # shares of the first of two values
_N_SUPPORT = 600  # support points of more values, at most about so many
_N_STEPS = 200


@dataclass(frozen=True)
class AuditFigure(FairnessFigure):
    """A fairness figure as it was observed, and corrected in part for the number of images."""

    corrected: float = 0.0
    """Estimate for infinitely many images; see `deconvolved_figures`."""
    corrected_low: float = 0.0
    corrected_high: float = 0.0


def audit_figures(
    counts: Counts, *, target: Double | None = None, resampling: Resampling = BOOTSTRAP
) -> dict[str, AuditFigure]:
    """Measure fairness as `fairness_figures` does, and correct it in part for few images.

    The interval of the corrected figure is that of the observed one, moved with it, and wider by
    the size of the correction below, where as much bias may be left, and by half of it above. It
    reaches down to 0 where the observed interval reaches the noise floor: a fair model could have
    scored that.
    """
    observed = fairness_figures(counts, target=target, resampling=resampling)
    estimates = deconvolved_figures(counts, target=target)
    figures = {}
    for name, figure in observed.items():
        corrected = min(estimates[name], figure.value)
        moved = figure.value - corrected
        low = max(0.0, figure.low - 2 * moved) if figure.low > figure.floor else 0.0
        figures[name] = AuditFigure(
            **vars(figure),
            corrected=corrected,
            corrected_low=min(low, corrected),
            corrected_high=max(figure.high - moved / 2, corrected),
        )
    return figures


def deconvolved_figures(counts: Counts, *, target: Double | None = None) -> dict[str, float]:
    """Estimate what fairness figures would be with infinitely many images of each subject.

    Every measure is convex in the shares, so few images make it larger: a fair model scores the
    noise floor. The distribution of the true shares over subjects is estimated by nonparametric
    maximum likelihood, assuming that counts are multinomial and that subjects are independent
    draws from it; the figure of each subject is averaged over its posterior, and these over
    subjects. The estimate is consistent as subjects grow in number, but slowly where many of them
    are exactly fair, which is where the measures have their kink: of 40 subjects of 10 images,
    half of them fair and half at 0.02 or 0.98 (truth 0.240, observed 0.301), about half of the
    bias is taken out.

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
