"""Fairness corrected for a classifier's errors: figures, differences of two models, shares."""

from collections.abc import Callable, Sequence

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.fairness import FairnessFigure
from probe.audit.measures import (
    MEASURES,
    as_counts,
    as_pair,
    as_target,
    measure_shares,
    worst_figures,
)
from probe.audit.misclassification.sample import JEFFREYS, Calibration
from probe.audit.subject_intervals import Figure, interval_over_subjects
from probe.errors import DegenerateDataError
from probe.stats.confidence_limits import COVERAGE, exact_limits
from probe.stats.interval import Interval, joined_limits
from probe.stats.resampling import BOOTSTRAP, Resampling

_N_FLOOR = 2_000
_N_EM, _EM_STEP = 500, 1e-5


def rogan_gladen(seen: Double, rates: Double) -> Double:
    """Estimate the true shares behind the shares that a classifier sees, (..., K).

    The maximum of the multinomial likelihood ``sum_j seen_j log(p @ rates)_j`` over shares p, where
    ``rates``, (..., K, K), say how often true value i is seen as value j. It is the solution of ``p
    @ rates = seen`` where that is a share, for two values ``(q + specificity - 1) / (sensitivity +
    specificity - 1)``; elsewhere it is found by EM.

    References
    ----------
    Rogan and Gladen, *Estimating prevalence from the results of a screening test*, Am. J.
    Epidemiology 107 (1978); Dempster, Laird, Rubin, *Maximum likelihood from incomplete data via
    the EM algorithm*, JRSS B 39 (1977).
    """
    solved = _solved(seen, rates)
    is_outside = (solved < -1e-9).any(axis=-1)  # beyond rounding
    kept: Double = np.clip(solved, 0.0, None)
    kept /= kept.sum(axis=-1, keepdims=True)
    if seen.shape[-1] > 2 and is_outside.any():  # of two values, clipping is the maximum
        of_each = np.broadcast_to(rates, (*solved.shape, solved.shape[-1]))[is_outside]
        kept[is_outside] = _maximise(
            kept[is_outside], np.broadcast_to(seen, solved.shape)[is_outside], of_each
        )
    return kept


def calibrated_figures(
    counts: Counts,
    calibration: Calibration,
    *,
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "subjects",
) -> dict[str, FairnessFigure]:
    """Measure the fairness of the corrected shares.

    As `probe.audit.fairness.fairness_figures`, whose options these are. The classifier's rates,
    which are the same for all subjects, are drawn by themselves (`limits_by_rates`), and their
    contribution to the interval is added in squares. A correction makes noise larger, and with it
    figure and floor. A classifier that `usable_rates` refuses is a `DegenerateDataError`.
    """
    counts = as_counts(counts)
    fair, totals = as_target(target, counts.shape), counts.sum(axis=1)
    rates, rng = usable_rates(calibration), np.random.default_rng([resampling.seed, 1])

    def figures_by(rates: Double) -> Figure:
        return lambda shares, target: measure_shares(rogan_gladen(shares[0], rates), target)

    found = interval_over_subjects(
        [counts], fair, figures_by(rates), resampling=resampling, unit=unit
    )
    by_rates = limits_by_rates([counts], calibration, fair, figures_by, resampling.n, rng)
    size = (max(1, _N_FLOOR // len(counts)), len(counts))
    by_chance = rng.multinomial(totals, fair @ rates, size=size)
    floor = measure_shares(rogan_gladen(by_chance / totals[:, None], rates), fair)
    worst, figures = worst_figures(fair), {}
    for name in MEASURES:
        inside = joined_limits(found[name], by_rates[name]).clipped(0.0, worst[name])
        figures[name] = FairnessFigure(**vars(inside), floor=float(floor[name].mean()))
    return figures


def calibrated_difference(
    before: Counts,
    after: Counts,
    calibration: Calibration,
    *,
    measure: str = "mad",
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "subjects",
) -> Interval:
    """Compare the fairness of two models on the same subjects, by corrected shares.

    As `probe.audit.fairness.paired_difference`, whose options these are, with what the rates
    contribute to the interval as in `calibrated_figures`; negative means that the second model is
    fairer. One set of rates serves both models: that the classifier errs alike on what a correction
    draws is an assumption that the labelled sample must earn, by holding images of both.
    """
    tables = as_pair(before, after)
    fair = as_target(target, tables[0].shape)
    rates, rng = usable_rates(calibration), np.random.default_rng([resampling.seed, 1])

    def change_by(rates: Double) -> Figure:
        def change(shares: Sequence[Double], target: Double) -> dict[str, Double]:
            first, second = (
                measure_shares(rogan_gladen(of, rates), target)[measure] for of in shares
            )
            return {measure: second - first}

        return change

    found = interval_over_subjects(tables, fair, change_by(rates), resampling=resampling, unit=unit)
    by_rates = limits_by_rates(tables, calibration, fair, change_by, resampling.n, rng)
    worst = worst_figures(fair)[measure]
    return joined_limits(found[measure], by_rates[measure]).clipped(-worst, worst)


def calibrated_share(
    counts: Counts, calibration: Calibration, *, n_draws: int = 4000, seed: int = 0
) -> list[list[Interval]]:
    """Correct the shares of each subject: a row a subject, one interval a value.

    Percentiles of shares and rates that are drawn from their posteriors, Dirichlet with 1/2 a
    cell, and corrected. Draws that no true shares explain come out at 0 or 1; where most draws do,
    the interval would be that point, so it also covers the percentiles of the other draws.
    """
    rates, rng = usable_rates(calibration), np.random.default_rng(seed)
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
        limits = zip(value, np.minimum(value, low), np.maximum(value, high), strict=True)
        found.append([Interval(float(v), float(lo), float(hi)) for v, lo, hi in limits])
    return found


def usable_rates(calibration: Calibration) -> Double:
    """Return the rates of a classifier, (K, K), if its labelled sample supports a correction.

    `DegenerateDataError` if the classifier is hardly better than a guess, or its sample is too
    small to exclude that: for each two values, the lower 95 % limits of how often either is seen
    for itself, in images that truly show one and are seen as one of the two, must sum to more
    than 1.
    """
    rates, counts = calibration.rates, calibration.confusion
    # the smallest singular value of two values is about sensitivity + specificity - 1
    if (smallest := float(np.linalg.svd(rates, compute_uv=False)[-1])) < 0.1:
        raise DegenerateDataError(
            f"the classifier tells the values apart hardly better than a guess ({smallest:.2f} of "
            "1); its shares cannot be corrected: use a better one, or label by hand"
        )
    right = np.diag(counts)[:, None]
    low = np.asarray(exact_limits(right + 0 * counts, right + counts)[0])
    low[np.diag_indices(len(low))] = 1.0
    worst = np.unravel_index(np.argmin(low + low.T), low.shape)
    if (low + low.T)[worst] <= 1.0:
        i, j = (calibration.values[place] for place in worst)
        n_i, n_j = (int(counts[place].sum()) for place in worst)
        raise DegenerateDataError(
            f"the labelled sample has {n_i} images of {i!r} and {n_j} of {j!r}, too few to show "
            "that the classifier tells the two apart better than a guess; label more of each "
            "(about 20), or do without the correction"
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

    Rates are drawn as the labelled sample would allow them with one image more that is seen as
    value j, whatever it shows, ``n_draws`` times for each j; the interval goes as far as the
    percentiles of any of these. Of a single rate that is the exact interval of Clopper and
    Pearson. Without it, a sample that happens to show few errors would also seem to know them
    well. ``figures_by`` turns rates, (K, K) or (n_draws, 1, K, K), into the figures of
    `probe.audit.subject_intervals.interval_over_subjects`.

    References
    ----------
    Fay, Proschan and Brittain, *Combining one-sided confidence procedures for inference in the
    two-sample case*, Biometrics 71 (2015); for more than two rates at once it is our use of it.
    """
    shares = [table / table.sum(axis=1, keepdims=True) for table in tables]
    values = figures_by(calibration.rates)(shares, fair)
    limits: dict[str, list[Double]] = {name: [] for name in values}
    for one_more in np.eye(len(calibration.values)):
        rates = calibration.draw(n_draws, rng, prior=one_more)[:, None]
        for name, found in figures_by(rates)(shares, fair).items():
            limits[name].append(np.quantile(found.mean(axis=1), COVERAGE))
    intervals = {}
    for name, found in values.items():
        value, (lows, highs) = float(found.mean()), np.transpose(limits[name])
        low, high = float(lows.min()), float(highs.max())
        intervals[name] = Interval(value, min(value, low), max(value, high))
    return intervals


def _maximise(start: Double, seen: Double, rates: Double) -> Double:
    """Maximise the likelihood over shares by EM, from (n, K), seen (n, K) and rates (n, K, K)."""
    shares = 0.99 * start + 0.01 / start.shape[-1]  # a share of 0 would stay 0
    active = np.arange(len(shares))
    for _ in range(_N_EM):
        before = shares[active]
        expected = np.einsum("nk,nkj->nj", before, rates[active])
        ratio = np.divide(seen[active], expected, out=np.zeros_like(expected), where=expected > 0)
        after = before * np.einsum("nkj,nj->nk", rates[active], ratio)
        shares[active] = after
        active = active[np.abs(after - before).max(axis=1) > _EM_STEP]
        if not len(active):
            break
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _solved(seen: Double, rates: Double) -> Double:
    """Solve ``p @ rates = seen``; p may leave the shares."""
    back = np.linalg.inv(rates)
    found: Double = seen @ back if back.ndim == 2 else (seen[..., None, :] @ back)[..., 0, :]
    return found
