"""Every fairness figure of one table of counts: raw, by chance, without chance, by subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.deconvolution import Contraction
from probe.audit.fairness import MEASURES, fairness_figures
from probe.stats.confidence_limits import exact_limits
from probe.stats.interval import Interval
from probe.stats.resampling import BOOTSTRAP, Resampling


@dataclass(frozen=True)
class AuditFigure:
    """A fairness figure as it was observed, what chance gives, and what is left without chance."""

    value: float
    """As observed; 0 would be perfectly fair, ``floor`` is what a fair model scores."""
    low: float
    high: float
    floor: float
    """Expected value for a perfectly fair model at the same numbers of images."""
    corrected: float
    """Estimate for endlessly many images; see `Contraction`."""
    corrected_low: float
    corrected_high: float


def audit_figures(
    counts: Counts, *, target: Double | None = None, resampling: Resampling = BOOTSTRAP
) -> dict[str, AuditFigure]:
    """Measure fairness, and take out what few pictures add.

    Parameters, errors and the first four numbers of each figure are those of
    `probe.audit.fairness.fairness_figures`. The interval of the corrected estimate is that of the
    figure, corrected at both ends, and then wider by the size of the correction below and by half
    of it above: how large the bias is depends on the shape in which the true shares are spread,
    and few pictures do not show it.

    Returns
    -------
    dict of str to AuditFigure
        Keys are `MEASURES`.
    """
    found = fairness_figures(counts, target=target, resampling=resampling)
    without_chance = Contraction(counts, target=target, seed=resampling.seed)
    figures = {}
    for name in MEASURES:
        figure = found[name]
        low, corrected, high = (
            without_chance(name, end) for end in (figure.low, figure.value, figure.high)
        )
        moved = figure.value - corrected
        figures[name] = AuditFigure(
            value=figure.value,
            low=figure.low,
            high=figure.high,
            floor=figure.floor,
            corrected=corrected,
            corrected_low=max(0.0, low - moved),
            corrected_high=max(corrected, min(high + moved / 2, figure.high)),
        )
    return figures


def share_table(counts: Counts) -> list[list[Interval]]:
    """Give the share of each value in the pictures of each subject, with its exact interval.

    See `probe.stats.proportion.binomial_interval`: what is said of a single subject must not depend
    on its share.
    """
    totals = counts.sum(axis=1, keepdims=True)
    ends = (counts / totals, *exact_limits(counts, np.broadcast_to(totals, counts.shape)))
    return [
        [Interval(float(v), float(a), float(b)) for v, a, b in zip(*row, strict=True)]
        for row in zip(*ends, strict=True)
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
    from probe.audit.measures import as_counts, as_target, measure_shares

    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = (counts.sum(axis=1) + n_missing)[:, None]
    n_values = counts.shape[1]
    ends = [
        counts + n_missing[:, None] * np.eye(n_values, dtype=np.int64)[k] for k in range(n_values)
    ]
    by_end = [measure_shares(end / totals, fair)[measure] for end in ends]
    highest = np.max(by_end, axis=0)
    lowest = measure_shares(_fairest(counts, n_missing, fair), fair)[measure]
    return float(lowest.mean()), float(highest.mean())


def _fairest(counts: Counts, n_missing: Counts, fair: Double) -> Double:
    """Shares after the unseen pictures were given to the values that lack most, by filling up."""
    totals = counts.sum(axis=1) + n_missing
    shares = np.empty(counts.shape)
    for row, (seen, wanted) in enumerate(zip(counts, fair, strict=True)):
        # raise every value that lacks to the same surplus over its fair number: the nearest point
        # of the simplex, in the sense of squares, that gives away what is left
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
