"""Error of a shift of guidance that is fitted to few occupations and images of real models.

``python benchmarks/guidance_shift.py COUNTS.csv`` takes published counts with the columns ``model,
guidance, occupation, n_women, n``. At both guidance scales of a model it draws k occupations with n
images each, fits the shift to them, and prints the mean error of the share of women in all other
occupations, over 100 draws.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from probe.stats.share_shift import ShareShift, fit_share_shift, smoothed_shares

SIZES = ((4, 16), (8, 16), (12, 16), (8, 32), (8, 300))
N_DRAWS = 100


def main() -> None:
    """Print the errors of every model with two guidance scales."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    table = pd.read_csv(asked.counts)
    found = {}
    for model, rows in table.groupby("model"):
        scales = sorted(rows["guidance"].unique())
        if len(scales) == 2:
            low, high = (rows[rows["guidance"] == scale] for scale in scales)
            found[model] = errors(low.set_index("occupation"), high.set_index("occupation"))
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    for model, of in found.items():
        print(model, *(f"{name} {value:.3f}" for name, value in of.items()), sep="  ")


def errors(low: pd.DataFrame, high: pd.DataFrame) -> dict[str, float]:
    """Return the mean errors of the fits, by their size, and those of no change."""
    high, rng = high.loc[low.index], np.random.default_rng(0)
    before, after = (
        np.stack([of["n_women"], of["n"] - of["n_women"]], axis=1) for of in (low, high)
    )
    shares = smoothed_shares(before)
    seen = after / after.sum(axis=1, keepdims=True)

    def error(shift: ShareShift, rows: np.ndarray) -> float:
        return float(np.abs(shift.apply(shares[rows]) - seen[rows]).mean())

    found = {"no change": error(ShareShift(), np.arange(len(low)))}
    for k, n in SIZES:
        drawn = []
        for _ in range(N_DRAWS):
            order = rng.permutation(len(low))
            chosen, others = order[:k], order[k:]
            counts = [before[chosen], after[chosen]]
            if n < min(of.sum(axis=1).min() for of in counts):
                counts = [rng.multinomial(n, of / of.sum(axis=1, keepdims=True)) for of in counts]
            drawn.append(error(fit_share_shift(smoothed_shares(counts[0]), counts[1]), others))
        found[f"k={k} n={n}"] = float(np.mean(drawn))
    return found


if __name__ == "__main__":
    main()
