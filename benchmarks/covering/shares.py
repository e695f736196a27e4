"""Intervals of shares: exact sums over the binomial where there are any, else simulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit

from covering import N, Tally, held, row
from probe.audit.groups import measure_shift
from probe.audit.intersections.cells import measure_cells, worst_cell
from probe.audit.misclassification.corrected import calibrated_share
from probe.audit.misclassification.sample import Calibration
from probe.audit.tables import CountTable
from probe.stats.interval import Interval
from probe.stats.proportion import binomial_interval, proportion_interval
from probe.stats.sequential import Band, confidence_sequence

BAND = Band(0.35, 0.65)
RATES = np.array([[0.9, 0.1], [0.2, 0.8]])


def rows(n_trials: int) -> Iterator[dict[str, Any]]:
    """Every interval of a share."""
    yield from alone()
    yield from stopped(n_trials)
    yield from clustered(n_trials)
    yield from cells(n_trials)
    yield from corrected(n_trials)
    yield from shifted(n_trials)


def alone() -> Iterator[dict[str, Any]]:
    """One share, by exact sums: that which is covered worst."""
    true = np.linspace(0.002, 0.998, 499)[:, None]
    for n in N:
        weights = stats.binom.pmf(np.arange(n + 1), n, true)
        found = [binomial_interval(k, n) for k in range(n + 1)]
        low, high = np.array([(end.low, end.high) for end in found]).T
        covered = (weights * ((low <= true) & (true <= high))).sum(axis=1)
        mean = round(float(covered.mean()), 3)
        yield row("share", n, f"share {true[covered.argmin(), 0]:.3f}", covered.min(), mean=mean)


def stopped(n_trials: int, n_max: int = 1000) -> Iterator[dict[str, Any]]:
    """A sequential audit that stops as soon as it is settled, and the pictures that it takes."""
    n, k = np.meshgrid(np.arange(1, n_max + 1), np.arange(n_max + 1), indexing="ij")
    low, high = confidence_sequence(np.minimum(k, n), n)
    rng, trials = np.random.default_rng(0), np.arange(n_trials)
    for share in (0.02, 0.1, 0.25, 0.5, 0.9):
        hits = (rng.random((n_trials, n_max)) < share).cumsum(axis=1)
        a, b = low[np.arange(n_max), hits], high[np.arange(n_max), hits]
        settled = ((a >= BAND.low) & (b <= BAND.high)) | (a > BAND.high) | (b < BAND.low)
        stop = np.where(settled.any(axis=1), settled.argmax(axis=1), n_max - 1)
        for most in N:
            at = np.minimum(stop, most - 1)
            covered = (a[trials, at] <= share) & (share <= b[trials, at])
            yield row(
                "share, audited until settled", most, f"share {share}", float(covered.mean()),
                pictures=round(float((at + 1).mean()), 1),
            )  # fmt: skip


def clustered(n_trials: int) -> Iterator[dict[str, Any]]:
    """A share of rows in clusters of 10; the standard interval is Wald's over clusters."""
    for n in N:
        for share, rho in ((0.5, 0.3), (0.9, 0.1), (0.97, 0.3)):
            rng, tally = np.random.default_rng([n, round(100 * share)]), Tally()
            a, b = share * (1 / rho - 1), (1 - share) * (1 / rho - 1)
            clusters = np.repeat(np.arange(n), 10)
            for _ in range(n_trials):
                is_hit = rng.random(10 * n) < np.repeat(rng.beta(a, b, n), 10)
                of_cluster = is_hit.reshape(n, 10).mean(axis=1)
                half = stats.t.ppf(0.975, n - 1) * of_cluster.std(ddof=1) / np.sqrt(n)
                wald = is_hit.mean() - half, is_hit.mean() + half
                tally.add(proportion_interval(is_hit, clusters=clusters), wald, share)
            setting = f"share {share}, correlation {rho} in a cluster of 10"
            yield tally.row("share of clustered rows (gate accuracy)", n, setting)


def cells(n_trials: int) -> Iterator[dict[str, Any]]:
    """The cells of an intersection, all of them at once, and the one that looks worst."""
    attributes = {"a": ["0", "1"], "b": ["0", "1", "2"]}
    for n in N:
        for name, parameter in (("even", 50.0), ("uneven", 1.5)):
            rng, every, worst = np.random.default_rng(n), 0, 0
            for _ in range(n_trials):
                true = rng.dirichlet(np.full(6, parameter))
                counts = rng.multinomial(n, true, size=10).reshape(10, 2, 3)
                found = measure_cells(counts, attributes)
                held = [c.low <= p <= c.high for c, p in zip(found, true, strict=True)]
                every += all(held)
                chosen = worst_cell(found)
                worst += chosen is None or held[found.index(chosen)]
            setting = f"{name}, 6 cells, 10 subjects alike"
            yield row("share of cells, all at once", n, setting, every / n_trials)
            yield row("share of the worst cell", n, setting, worst / n_trials)


def corrected(n_trials: int) -> Iterator[dict[str, Any]]:
    """A share corrected for a classifier whose errors were seen in 100 pictures of each value."""
    for n in N:
        for share in (0.02, 0.1, 0.5, 0.9, 0.98):
            rng, hits = np.random.default_rng([n, round(100 * share)]), 0
            for trial in range(n_trials):
                seen = rng.binomial(n, share * RATES[0, 0] + (1 - share) * RATES[1, 0])
                confusion = np.stack([rng.multinomial(100, of) for of in RATES])
                known = Calibration(["a", "b"], confusion)
                [[found, _]] = calibrated_share(np.array([[seen, n - seen]]), known, seed=trial)
                hits += found.low <= share <= found.high
            yield row("share, calibrated", n, f"share {share}", hits / n_trials)


def shifted(n_trials: int) -> Iterator[dict[str, Any]]:
    """The slope of the log-odds from one setting to another, n subjects of 300 images each."""
    for n in N[:2]:  # as many fits as subjects: 200 would take hours
        for slope, scatter in ((1.3, 0.4), (2.2, 0.0), (2.2, 0.7)):
            rng, found = np.random.default_rng([n, round(10 * scatter)]), []
            for _ in range(n_trials // 2):
                first = rng.normal(-0.5, 1.4, n)
                second = slope * first - 0.4 + rng.normal(0, scatter, n)
                women = rng.binomial(300, expit([first, second]))
                counts = np.stack([women, 300 - women], axis=2)
                tables = [
                    CountTable("", "", [*map(str, range(n))], ["a", "b"], of, {}) for of in counts
                ]
                if (shift := measure_shift(*tables)) is not None:
                    found.append(Interval(**shift["slope"]))
            setting = f"slope {slope}, scatter {scatter} of the log-odds"
            yield row("slope of the log-odds", n, setting, held(found))
