"""Which method is the fairest, as far as its pictures show: paired tests over occupations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from probe.arrays import Counts
from probe.audit.fairness import paired_difference
from probe.audit.measures import measure_shares
from probe.stats.equivalence import noninferiority_p
from probe.stats.mean import mean_test
from probe.stats.resampling import Resampling

Found = dict[str, Any]

LEVEL = 0.05
UNIT = "occupations"


def keeps(base: pd.Series, other: pd.Series, *, margin: float, resampling: Resampling) -> Found:
    """Test whether a share, by occupation, is kept: certainly not lower by the margin or more.

    Parameters
    ----------
    base, other : Series
        Share of the pictures of each occupation, by its name.
    margin : float
        Largest loss of the mean share that does not matter.
    resampling : Resampling

    Returns
    -------
    dict
        Of the mean change ``value, low, high, p, unit, n``; ``margin``, ``p_noninferior`` (see
        `probe.stats.equivalence.noninferiority_p`) and ``is_kept``. Of fewer than two occupations
        nothing is known: ``is_kept`` alone, False. Where no occupation changes, the sign test of
        `noninferiority_p` decides, and not the interval: that bounds other occupations, which a
        comparison on these ones is not about.
    """
    change = (other - base).dropna().to_numpy(dtype=float)
    if len(change) < 2:
        return {"is_kept": False}
    found = mean_test(change, bounds=(-1.0, 1.0), resampling=resampling, unit=UNIT)
    p = noninferiority_p(change, margin)
    return {**asdict(found), "margin": margin, "p_noninferior": p, "is_kept": p <= LEVEL}


def compare_with_fairest(
    counts: Mapping[str, Counts], candidates: Sequence[str], *, resampling: Resampling
) -> Found:
    """Compare the fairest of some methods with each of the others.

    The fairest is the candidate with the lowest MAD. It is chosen from the data, so the p-value
    of each paired difference is multiplied by the number of all pairs of the methods (Bonferroni):
    the probability of any wrong claim that a method is less fair is at most 5 %.

    Parameters
    ----------
    counts : mapping of str to ndarray of int, shape (n_subjects, K)
        Pictures of every method that was measured by subject and value; rows are the same
        subjects, 0 where no picture shows a value.
    candidates : sequence of str
        Those of them that keep what must be kept.
    resampling : Resampling

    Returns
    -------
    dict
        ``fairest``, None without a candidate; ``differences`` of MAD, each other candidate minus
        the fairest: ``name, value, low, high, p, unit, n, p_adjusted, is_less_fair``; and
        ``n_pairs``.
    """
    n_pairs = len(counts) * (len(counts) - 1) // 2
    found: Found = {"fairest": None, "differences": [], "n_pairs": n_pairs}
    seen = {name: of[of.any(axis=1)] for name, of in counts.items()}
    mad = {name: _mad(seen[name]) for name in candidates if len(seen[name])}
    if not mad:
        return found
    fairest = min(mad, key=lambda name: mad[name])
    for name in sorted(mad, key=lambda name: mad[name]):
        both = counts[fairest].any(axis=1) & counts[name].any(axis=1)
        if name == fairest or not both.any():
            continue
        change = paired_difference(
            counts[fairest][both],
            counts[name][both],
            resampling=resampling.for_tests(n_pairs),
            unit=UNIT,
        )
        p = min(1.0, change.p * n_pairs)
        is_less_fair = p <= LEVEL and change.value > 0
        row = {"name": name, **asdict(change), "p_adjusted": p, "is_less_fair": is_less_fair}
        found["differences"].append(row)
    return found | {"fairest": fairest}


def _mad(counts: Counts) -> float:
    shares = counts / counts.sum(axis=1, keepdims=True)
    fair = shares * 0 + 1 / counts.shape[1]
    return float(measure_shares(shares, fair)["mad"].mean())
