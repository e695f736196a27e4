"""Intervals of fairness figures: observed, corrected, paired, calibrated, hidden, by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import stats

from covering import N, row
from covering.shares import RATES
from probe.audit.deconvolution import audit_figures
from probe.audit.intersections.cells import cell_shifts, divide_unfairness
from probe.audit.measures import MEASURES, measure_shares
from probe.audit.misclassification.corrected import (
    calibrated_difference,
    calibrated_figures,
    rogan_gladen,
)
from probe.audit.misclassification.sample import Calibration
from probe.audit.subject_intervals import interval_over_subjects
from probe.stats.interval import Interval
from probe.stats.resampling import Resampling

N_SUBJECTS = (10, 40)
POPULATIONS = {
    "fair": (1e9, 1e9),
    "beta(20, 20)": (20.0, 20.0),
    "beta(2, 2)": (2.0, 2.0),
    "beta(8, 2)": (8.0, 2.0),
    "beta(0.5, 0.5)": (0.5, 0.5),
    "beta(19, 1)": (19.0, 1.0),
}
"""Of the shares of subjects."""
KEPT = 0.5
"""How much of a subject's lean a second model keeps."""
_N_BOOTSTRAP = 400
_QUANTILES = (np.arange(1000) + 0.5) / 1000


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Every figure as observed, corrected, and its paired difference."""
    for name, spread in POPULATIONS.items():
        for n in N:
            for n_subjects in N_SUBJECTS:
                yield from _setting(name, spread, n, n_subjects, n_trials)
    yield from hidden(n_trials)


def _setting(
    name: str, spread: tuple[float, float], n: int, n_subjects: int, n_trials: int
) -> Iterator[dict[str, Any]]:
    shares = stats.beta.ppf(_QUANTILES, *spread)
    before, after = expected(shares, n), expected(0.5 + KEPT * (shares - 0.5), n)
    true = _means(measured(shares))
    rng = np.random.default_rng([n, n_subjects])
    hits = {(kind, of): 0 for kind in ("observed", "corrected", "paired") for of in MEASURES}
    widths, shifted = dict.fromkeys(MEASURES, 0.0), 0
    for trial in range(n_trials):
        drawn = rng.beta(*spread, n_subjects)
        counts = pictures(drawn, n, rng)
        other = pictures(0.5 + KEPT * (drawn - 0.5), n, rng)
        for of, found in audit_figures(counts, resampling=Resampling(_N_BOOTSTRAP, trial)).items():
            hits["observed", of] += found.low <= before[of] <= found.high
            hits["corrected", of] += found.corrected_low <= true[of] <= found.corrected_high
            widths[of] += found.high - found.low
        for of, change in _paired(counts, other, trial).items():
            hits["paired", of] += change.low <= after[of] - before[of] <= change.high
        moved = cell_shifts(counts, other, resampling=Resampling(_N_BOOTSTRAP))[0]
        mean = spread[0] / sum(spread)
        shifted += moved.low <= (KEPT - 1) * (mean - 0.5) <= moved.high
    setting = f"{name}, {n_subjects} subjects"
    for (kind, of), found in hits.items():
        width = {"width": round(widths[of] / n_trials, 4)} if kind == "observed" else {}
        yield row(f"{of.upper()}, {kind}", n, setting, found / n_trials, **width)
    yield row("shift of a cell, paired", n, setting, shifted / n_trials)


def _paired(counts: np.ndarray, other: np.ndarray, seed: int) -> dict[str, Interval]:
    """What `paired_difference` says, of all measures from one set of draws."""

    def change(shares: Sequence[np.ndarray], target: np.ndarray) -> dict[str, np.ndarray]:
        first, second = (measure_shares(of, target) for of in shares)
        return {of: second[of] - first[of] for of in MEASURES}

    fair = np.full(counts.shape, 0.5)
    return interval_over_subjects(
        [counts, other], fair, change, resampling=Resampling(_N_BOOTSTRAP, seed)
    )


def calibrated(n_trials: int) -> Iterator[dict[str, Any]]:
    """Figures and differences of calibrated shares; errors seen in 100 pictures of each value."""
    for name, spread in POPULATIONS.items():
        shares = stats.beta.ppf(_QUANTILES, *spread)
        for n in N:
            for n_subjects in N_SUBJECTS:
                before = expected(shares, n, RATES)
                after = expected(0.5 + KEPT * (shares - 0.5), n, RATES)
                rng = np.random.default_rng([n, n_subjects])
                hits, changed = dict.fromkeys(MEASURES, 0), 0
                for trial in range(n_trials):
                    known = Calibration(
                        ["a", "b"], np.stack([rng.multinomial(100, r) for r in RATES])
                    )
                    drawn = rng.beta(*spread, n_subjects)
                    counts, other = (
                        pictures(RATES[1, 0] + of * (RATES[0, 0] - RATES[1, 0]), n, rng)
                        for of in (drawn, 0.5 + KEPT * (drawn - 0.5))
                    )
                    options = {"resampling": Resampling(_N_BOOTSTRAP, trial)}
                    for of, found in calibrated_figures(counts, known, **options).items():
                        hits[of] += found.low <= before[of] <= found.high
                    change = calibrated_difference(counts, other, known, **options)
                    changed += change.low <= after["mad"] - before["mad"] <= change.high
                setting = f"{name}, {n_subjects} subjects"
                for of, found in hits.items():
                    yield row(f"{of.upper()}, calibrated", n, setting, found / n_trials)
                yield row("MAD, paired and calibrated", n, setting, changed / n_trials)


def hidden(n_trials: int) -> Iterator[dict[str, Any]]:
    """What an intersection hides: information that two attributes share, over subjects."""
    attributes = {"a": ["0", "1"], "b": ["0", "1"]}
    for n in N:
        for name, lean in (("independent", 0.0), ("nearly", 0.1), ("dependent", 0.6)):
            for n_subjects in N_SUBJECTS:
                rng, hits = np.random.default_rng([n, n_subjects]), 0
                cells = np.array([1 + lean, 1 - lean, 1 - lean, 1 + lean]) / 4
                truth = float(np.log(4) + (cells * np.log(cells)).sum())  # even margins hide it all
                for _ in range(n_trials):
                    shares = rng.dirichlet(10 * cells, size=n_subjects)
                    counts = rng.multinomial(n, shares).reshape(n_subjects, 2, 2)
                    found = divide_unfairness(counts, attributes)
                    hits += found.hidden.low <= truth <= found.hidden.high
                setting = f"{name}, {n_subjects} subjects"
                yield row("hidden in an intersection (information)", n, setting, hits / n_trials)


def expected(shares: np.ndarray, n: int, rates: np.ndarray | None = None) -> dict[str, float]:
    """Every figure that subjects of these shares have on average at n pictures."""
    hits = np.arange(n + 1)
    seen = shares if rates is None else rates[1, 0] + shares * (rates[0, 0] - rates[1, 0])
    weights = stats.binom.pmf(hits, n, seen[:, None]).mean(axis=0)
    observed = np.stack([hits / n, 1 - hits / n], axis=1)
    table = observed if rates is None else rogan_gladen(observed, rates)
    return {of: float(weights @ found) for of, found in measured(table[:, 0]).items()}


def measured(shares: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of shares of the first of two values."""
    return measure_shares(np.stack([shares, 1 - shares], axis=-1), np.full(2, 0.5))


def pictures(shares: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of two values in n pictures of each subject."""
    first = rng.binomial(n, shares)
    return np.stack([first, n - first], axis=1)


def _means(found: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in found.items()}
