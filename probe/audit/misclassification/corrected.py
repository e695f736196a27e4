"""Shares as they are, not as a classifier sees them, and the figures of those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import MEASURES, as_counts, as_target, measure_shares, worst_figures
from probe.audit.misclassification.sample import JEFFREYS, Calibration
from probe.audit.subject_intervals import Figure, interval_over_subjects
from probe.errors import DegenerateDataError
from probe.stats.confidence_limits import COVERAGE
from probe.stats.interval import Interval, joined_limits
from probe.stats.resampling import BOOTSTRAP, Resampling

_N_FLOOR = 2_000


@dataclass(frozen=True)
class CalibratedFigure:
    """A fairness figure of the corrected shares; its interval carries both uncertainties."""

    value: float
    low: float
    high: float
    floor: float
    """Expected value for a perfectly fair model, seen by this classifier and corrected."""


def rogan_gladen(seen: Double, rates: Double) -> Double:
    """Turn shares that a classifier sees into the shares that gave rise to them.

    The solution p of ``p @ rates = seen``, put back onto the shares if it leaves them. For two
    values it is ``(q + specificity - 1) / (sensitivity + specificity - 1)``.

    Parameters
    ----------
    seen : ndarray of shape (..., K)
    rates : ndarray of shape (..., K, K)
        How often true value i is seen as value j.

    Returns
    -------
    ndarray of shape (..., K)
        Not negative, rows sum to 1.

    References
    ----------
    Rogan and Gladen, *Estimating prevalence from the results of a screening test*, Am. J.
    Epidemiology 107 (1978).
    """
    kept: Double = np.clip(_solved(seen, rates), 0.0, None)
    return np.asarray(kept / kept.sum(axis=-1, keepdims=True))


def calibrated_figures(
    counts: Counts,
    calibration: Calibration,
    *,
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
) -> dict[str, CalibratedFigure]:
    """Measure the fairness of the corrected shares.

    Subjects and their pictures are drawn anew by
    `probe.audit.subject_intervals.interval_over_subjects`. The
    classifier's rates, which are the same for all subjects, are drawn by themselves
    (`limits_by_rates`), and what they contribute is added in squares.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
        What the classifier saw.
    calibration : Calibration
    target, resampling
        As for `probe.audit.fairness.fairness_figures`.

    Returns
    -------
    dict of str to CalibratedFigure
        Keys are `MEASURES`. A correction makes noise larger, and with it figure and floor.

    Raises
    ------
    DegenerateDataError
        If the classifier is hardly better than a guess.
    """
    counts = as_counts(counts)
    fair, totals = as_target(target, counts.shape), counts.sum(axis=1)
    rates, rng = usable_rates(calibration.rates), resampling.rng()

    def figures_by(rates: Double) -> Figure:
        return lambda shares, target: measure_shares(rogan_gladen(shares[0], rates), target)

    found = interval_over_subjects(
        [counts], fair, figures_by(rates), resampling=resampling, rng=rng
    )
    by_rates = limits_by_rates([counts], calibration, fair, figures_by, resampling.n, rng)
    size = (max(1, _N_FLOOR // len(counts)), len(counts))
    by_chance = rng.multinomial(totals, fair @ rates, size=size)
    floor = measure_shares(rogan_gladen(by_chance / totals[:, None], rates), fair)
    worst, figures = worst_figures(fair), {}
    for name in MEASURES:
        ends = joined_limits(found[name], by_rates[name])
        figures[name] = CalibratedFigure(
            ends.value, max(0.0, ends.low), min(ends.high, worst[name]), float(floor[name].mean())
        )
    return figures


def calibrated_share(
    counts: Counts, calibration: Calibration, *, n_draws: int = 4000, seed: int = 0
) -> list[list[Interval]]:
    """Correct the shares of each subject, with intervals that carry both uncertainties.

    Percentiles of shares and rates that are drawn from their posteriors, Dirichlet with 1/2 a
    cell, and corrected. Draws that no truth explains are put back onto the shares, which is an
    end of 0 or 1; where they are most of all, the interval would be that end alone, so it reaches
    as far as the percentiles of the other draws.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
    calibration : Calibration
    n_draws : int, default=4000
    seed : int, default=0

    Returns
    -------
    list of list of Interval
        A row a subject, one interval a value.
    """
    rates, rng = usable_rates(calibration.rates), np.random.default_rng(seed)
    drawn_rates = calibration.draw(n_draws, rng)
    found = []
    for row in as_counts(counts):
        value = rogan_gladen(row / row.sum(), rates)
        drawn = rng.dirichlet(row + JEFFREYS, size=n_draws)
        draws, is_truth = rogan_gladen(drawn, drawn_rates), _solved(drawn, drawn_rates) >= 0.0
        low, high = np.quantile(draws, COVERAGE, axis=0)
        if (of_shares := is_truth.all(axis=1)).any():
            inside = np.quantile(draws[of_shares], COVERAGE, axis=0)
            low, high = np.minimum(low, inside[0]), np.maximum(high, inside[1])
        found.append(
            [
                Interval(float(v), float(min(v, lo)), float(max(v, hi)))
                for v, lo, hi in zip(value, low, high, strict=True)
            ]
        )
    return found


def usable_rates(rates: Double) -> Double:
    """Return rates, shape (K, K), that can be inverted.

    Raises
    ------
    DegenerateDataError
        If the classifier is hardly better than a guess.
    """
    # the smallest singular value of two values is about sensitivity + specificity - 1
    if (smallest := float(np.linalg.svd(rates, compute_uv=False)[-1])) < 0.1:
        raise DegenerateDataError(
            f"the classifier tells the values apart hardly better than a guess ({smallest:.2f} of "
            "1); its shares cannot be corrected: use a better one, or label by hand"
        )
    return rates


def limits_by_rates(
    tables: Sequence[Counts],
    calibration: Calibration,
    fair: Double,
    figures_by: Callable[[Double], Figure],
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Give the means of figures over subjects, with intervals by the classifier's rates alone.

    Rates are drawn as the labelled sample would allow them with one picture more that is seen as
    value j, whatever it shows, for each j; the interval goes as far as the percentiles of any of
    these. Of a single rate that is the exact interval of Clopper and Pearson. Without it, a sample
    that happens to show few errors would also seem to know them well.

    Parameters
    ----------
    tables, fair
        As for `probe.audit.subject_intervals.interval_over_subjects`.
    calibration : Calibration
    figures_by : callable
        From rates, (K, K) or (n_draws, 1, K, K), to the figures of that function.
    n_draws : int
        For each of the K values.
    rng : Generator

    References
    ----------
    Fay, Proschan and Brittain, *Combining one-sided confidence procedures for inference in the
    two-sample case*, Biometrics 71 (2015); for more than two rates at once it is our use of it.
    """
    shares = [table / table.sum(axis=1, keepdims=True) for table in tables]
    values = figures_by(calibration.rates)(shares, fair)
    ends: dict[str, list[Double]] = {name: [] for name in values}
    for one_more in np.eye(len(calibration.values)):
        rates = calibration.draw(n_draws, rng, prior=one_more)[:, None]
        for name, found in figures_by(rates)(shares, fair).items():
            ends[name].append(np.quantile(found.mean(axis=1), COVERAGE))
    return {
        name: Interval(
            value := float(found.mean()),
            min(value, *(float(low) for low, _ in ends[name])),
            max(value, *(float(high) for _, high in ends[name])),
        )
        for name, found in values.items()
    }


def _solved(seen: Double, rates: Double) -> Double:
    """Solve ``p @ rates = seen``; p may leave the shares."""
    back = np.linalg.inv(rates)
    found: Double = seen @ back if back.ndim == 2 else (seen[..., None, :] @ back)[..., 0, :]
    return found
