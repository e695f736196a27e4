"""Simulated coverage of every interval of an audit: ``python benchmarks/coverage.py [--json]``.

Populations of subjects whose true shares are Beta distributed, at 10, 50 and 200 pictures each. An
interval of 95 % should hold the truth in at least 94 of 100 of them. The share intervals are exact
sums over the binomial distribution; the others are simulated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from scipy import stats

from probe.images.audit.calibration import Calibration, calibrated_share
from probe.images.audit.figures import audit_figures, share_table
from probe.images.audit.sequential import Band, confidence_sequence, fixed_number
from probe.images.fairness import MEASURES, paired_difference, share_interval
from probe.images.measures import measure_shares

N_IMAGES = (10, 50, 200)
N_SUBJECTS = (10, 40)
POPULATIONS = {
    "fair": None,
    "beta(20, 20)": (20.0, 20.0),
    "beta(2, 2)": (2.0, 2.0),
    "beta(8, 2)": (8.0, 2.0),
}
RATES = np.array([[0.9, 0.1], [0.2, 0.8]])
BAND = Band(0.35, 0.65)


def main() -> None:
    """Print a row for each interval and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-trials", type=int, default=1000, help="simulated audits a setting")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows, n = [], arguments.n_trials
    for row in chain(shares(), sequences(), calibrated(n), figures(n)):
        rows.append(row)
        if not arguments.json:
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=1))


def shares() -> Iterator[dict[str, Any]]:
    """The interval of one share, averaged over shares, and that of the share covered worst."""
    true = np.linspace(0.005, 0.995, 199)[:, None]
    for n in N_IMAGES:
        weights = stats.binom.pmf(np.arange(n + 1), n, true)
        exact = [row[0] for row in share_table(np.array([[k, n - k] for k in range(n + 1)]))]
        wilson = [share_interval(k, n) for k in range(n + 1)]
        for name, found in (("share, exact (audits)", exact), ("share, Wilson (runs)", wilson)):
            low, high = np.array([(end.low, end.high) for end in found]).T
            covered = (weights * ((low <= true) & (true <= high))).sum(axis=1)
            worst = round(float(covered.min()), 3)
            yield _row(name, n, 1, "uniform", covered.mean(), worst=worst)


def sequences(n_paths: int = 2000, n_max: int = 1000) -> Iterator[dict[str, Any]]:
    """Coverage when the audit stops as soon as it is settled, and the pictures that it takes."""
    n, k = np.meshgrid(np.arange(1, n_max + 1), np.arange(n_max + 1), indexing="ij")
    low, high = confidence_sequence(np.minimum(k, n), n)
    rng, rows = np.random.default_rng(0), np.arange(n_paths)
    fixed = fixed_number(BAND, share=0.25)
    for share in (0.02, 0.1, 0.25, 0.5, 0.9):
        hits = (rng.random((n_paths, n_max)) < share).cumsum(axis=1)
        a, b = low[np.arange(n_max), hits], high[np.arange(n_max), hits]
        settled = ((a >= BAND.low) & (b <= BAND.high)) | (a > BAND.high) | (b < BAND.low)
        stop = np.where(settled.any(axis=1), settled.argmax(axis=1), n_max - 1)
        covered = (a[rows, stop] <= share) & (share <= b[rows, stop])
        yield _row(
            "share, stopped when settled", n_max, 1, f"share {share}", covered.mean(),
            pictures=round(float((stop + 1).mean()), 1), fixed=fixed,
            saving=round(float(1 - (stop + 1).mean() / fixed), 2),
        )  # fmt: skip


def calibrated(n_trials: int) -> Iterator[dict[str, Any]]:
    """A share corrected for a classifier whose errors were seen in 100 pictures of each value."""
    rng = np.random.default_rng(1)
    for n in N_IMAGES:
        hits = 0
        for trial in range(n_trials):
            share = rng.uniform()
            seen = rng.binomial(n, share * RATES[0, 0] + (1 - share) * RATES[1, 0])
            known = Calibration(["a", "b"], np.stack([rng.multinomial(100, row) for row in RATES]))
            counts = np.array([[seen, n - seen]])
            [[found, _]] = calibrated_share(counts, known, n_draws=400, seed=trial)
            hits += found.low <= share <= found.high
        yield _row("share, Rogan-Gladen", n, 1, "uniform", hits / n_trials)


def figures(n_trials: int) -> Iterator[dict[str, Any]]:
    """Every fairness figure as observed and without chance, and the paired difference of MAD."""
    for name, spread in POPULATIONS.items():
        for n in N_IMAGES:
            observed, true = _truth(spread, n)
            for n_subjects in N_SUBJECTS:
                rng = np.random.default_rng([n, n_subjects])
                raw, corrected, paired = dict.fromkeys(MEASURES, 0), dict.fromkeys(MEASURES, 0), 0
                for trial in range(n_trials):
                    shares = _draw(spread, n_subjects, rng)
                    counts, other = (_counts(shares, n, rng) for _ in range(2))
                    found = audit_figures(counts, n_bootstrap=200, seed=trial)
                    for measure, figure in found.items():
                        raw[measure] += figure.low <= observed[measure] <= figure.high
                        corrected[measure] += (
                            figure.corrected_low <= true[measure] <= figure.corrected_high
                        )
                    same = paired_difference(
                        counts, other, n_bootstrap=200, n_permutations=1, seed=trial
                    )
                    paired += same.low <= 0.0 <= same.high
                for measure in MEASURES:
                    yield _row(measure, n, n_subjects, name, raw[measure] / n_trials,
                               without_chance=round(corrected[measure] / n_trials, 3))  # fmt: skip
                yield _row("difference of mad", n, n_subjects, name, paired / n_trials)


def _truth(spread: tuple[float, float] | None, n: int) -> tuple[dict[str, float], dict[str, float]]:
    """The expected figure at n pictures, and with endlessly many."""
    hits = np.arange(n + 1)
    weights = (
        stats.binom.pmf(hits, n, 0.5) if spread is None else stats.betabinom.pmf(hits, n, *spread)
    )
    fair = np.full(2, 0.5)
    seen = measure_shares(np.stack([hits / n, 1 - hits / n], axis=1), fair)
    grid = (np.arange(20_000) + 0.5) / 20_000
    shares = np.full(1, 0.5) if spread is None else stats.beta.ppf(grid, *spread)
    true = measure_shares(np.stack([shares, 1 - shares], axis=1), fair)
    return (
        {name: float(weights @ found) for name, found in seen.items()},
        {name: float(found.mean()) for name, found in true.items()},
    )


def _draw(
    spread: tuple[float, float] | None, n_subjects: int, rng: np.random.Generator
) -> np.ndarray:
    return np.full(n_subjects, 0.5) if spread is None else rng.beta(*spread, n_subjects)


def _counts(shares: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    first = rng.binomial(n, shares)
    return np.stack([first, n - first], axis=1)


def _row(
    interval: str, n: int, n_subjects: int, population: str, coverage: float, **more: Any
) -> dict[str, Any]:
    sizes = {"n_images": n, "n_subjects": n_subjects, "population": population}
    return {"interval": interval, **sizes, "coverage": round(float(coverage), 3), **more}


if __name__ == "__main__":
    main()
