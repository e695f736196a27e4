"""Fairness figures of one table of counts: observed, corrected, bounded, and by subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.deconvolution import deconvolved_figures
from probe.audit.fairness import FairnessFigure, fairness_figures
from probe.audit.measures import as_counts, as_target, measure_shares
from probe.stats.confidence_limits import exact_limits
from probe.stats.interval import Interval
from probe.stats.resampling import BOOTSTRAP, Resampling


@dataclass(frozen=True)
class AuditFigure(FairnessFigure):
    """A fairness figure as it was observed, and corrected in part for the number of pictures."""

    corrected: float = 0.0
    """Estimate for infinitely many images; see `deconvolved_figures`."""
    corrected_low: float = 0.0
    corrected_high: float = 0.0


def audit_figures(
    counts: Counts, *, target: Double | None = None, resampling: Resampling = BOOTSTRAP
) -> dict[str, AuditFigure]:
    """Measure fairness, and correct it in part for what few pictures add.

    Parameters, errors and observed figures are those of `probe.audit.fairness.fairness_figures`.
    The interval of the corrected figure is that of the observed one, moved with it, and wider by
    the size of the correction below, where as much bias may be left, and by half of it above. It
    reaches down to 0 where the observed interval reaches the noise floor: a fair model could have
    scored that.

    Returns
    -------
    dict of str to AuditFigure
        Keys are `probe.audit.measures.MEASURES`.
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


def share_table(counts: Counts) -> list[list[Interval]]:
    """Give the share of each value in the pictures of each subject, with its exact interval.

    See `probe.stats.proportion.binomial_interval`: the coverage of the interval of a single subject
    must not depend on its share.
    """
    totals = counts.sum(axis=1, keepdims=True)
    limits = (counts / totals, *exact_limits(counts, np.broadcast_to(totals, counts.shape)))
    return [
        [Interval(float(v), float(a), float(b)) for v, a, b in zip(*row, strict=True)]
        for row in zip(*limits, strict=True)
    ]


def missing_label_bounds(
    counts: Counts, n_missing: Counts, *, measure: str = "mad", target: Double | None = None
) -> tuple[float, float]:
    """Bound a figure by what the pictures in which nothing was seen could have shown.

    All of them as fair as the others allow, and all of them of one value, for each subject the
    one that makes it least fair. No assumption is made on why they show nothing.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
    n_missing : ndarray of int, shape (n_subjects,)
        Pictures of each subject that show no value.
    measure : str, default="mad"
        One of `probe.audit.measures.MEASURES`.
    target : ndarray, optional
        As for `audit_figures`.

    Returns
    -------
    low, high : float
        Both the figure itself if there is no such picture.

    References
    ----------
    Manski, *Nonparametric bounds on treatment effects*, American Economic Review 80 (1990).
    """
    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = (counts.sum(axis=1) + n_missing)[:, None]
    n_values = counts.shape[1]
    limits = [
        counts + n_missing[:, None] * np.eye(n_values, dtype=np.int64)[k] for k in range(n_values)
    ]
    by_extreme = [measure_shares(extreme / totals, fair)[measure] for extreme in limits]
    highest = np.max(by_extreme, axis=0)
    lowest = measure_shares(_fairest(counts, n_missing, fair), fair)[measure]
    return float(lowest.mean()), float(highest.mean())


def _fairest(counts: Counts, n_missing: Counts, fair: Double) -> Double:
    """Shares after the unseen pictures were given to the values that lack most, by filling up."""
    totals = counts.sum(axis=1) + n_missing
    shares = np.empty(counts.shape)
    for row, (seen, wanted) in enumerate(zip(counts, fair, strict=True)):
        # raise the values with least surplus over their fair number to one level: the nearest
        # point of the simplex, in the sense of squares, that uses up what is left
        surplus = seen - wanted * totals[row]
        order = np.sort(surplus)
        left = float(n_missing[row])
        filled = np.cumsum(order)
        for size in range(1, len(order) + 1):
            level = (left + filled[size - 1]) / size
            if size == len(order) or level <= order[size]:
                break
        shares[row] = (wanted * totals[row] + np.maximum(surplus, level)) / totals[row]
    return shares
