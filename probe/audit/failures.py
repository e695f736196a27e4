"""How a correction fails: each signature a measured share with its interval, defined by us."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Counts, Double, Mask
from probe.stats.confidence_limits import exact_limits
from probe.stats.interval import Interval
from probe.stats.mean import mean_interval
from probe.stats.multiplicity import holm
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import Resampling

Found = dict[str, Any]

_ROUNDING = 1e-9  # shares that are equal but for rounding


def share_over(
    subjects: Sequence[object] | pd.Series,
    is_hit: Mask | pd.Series,
    *,
    unit: str = "occupations",
) -> Found:
    """Give a share of images with its 95 % interval over subjects, as `proportion_interval` does.

    The gate acts on prompts, so the images of one subject stand or fall together: none of 500
    images of 10 objects says as much of other objects as none of 10. Images of a single subject
    count as one observation; without an image the share is 0, from 0 to 1.
    """
    hits = np.asarray(is_hit, dtype=bool)
    codes, names = pd.factorize(np.asarray(subjects, dtype=object))
    if len(names) > 1:
        found = proportion_interval(hits, clusters=codes, unit=unit)
    else:
        value = float(hits.mean()) if len(hits) else 0.0
        low, high = map(float, exact_limits(value, 1.0)) if len(hits) else (0.0, 1.0)
        found = Interval(value, low, high, unit, len(names))
    return {**asdict(found), "n_images": len(hits)}


def mean_over(
    subjects: Sequence[object] | pd.Series, values: Double | pd.Series, *, resampling: Resampling
) -> Found:
    """Give the mean of a score of images with its 95 % interval over occupations.

    Of a single occupation the interval is over images. Keys as of `share_over`.
    """
    codes, names = pd.factorize(np.asarray(subjects, dtype=object))
    over: Found = (
        {"clusters": codes, "unit": "occupations"} if len(names) > 1 else {"unit": "images"}
    )
    found = mean_interval(np.asarray(values), resampling=resampling, **over)
    return {**asdict(found), "n_images": len(values)}


def fair_counts(n: Counts, fair: float | Double) -> tuple[Counts, Counts]:
    """Return the limits of the central 95 % of a fair model's counts, Binomial(n, fair)."""
    from scipy.stats import binom

    return binom.ppf(0.025, n, fair), binom.ppf(0.975, n, fair)


def is_skewed(hits: Counts, n: Counts, fair: float | Double) -> Mask:
    """Find the subjects whose number of hits lies outside the limits of `fair_counts`."""
    low, high = fair_counts(n, fair)
    result: Mask = (hits < low) | (hits > high)
    return result


def gate_missed(base_hits: Counts, n: Counts, is_untouched: Mask, fair: float) -> Found:
    """Share of the skewed subjects (see `is_skewed`) whose images the correction left alone.

    ``base_hits`` of the base model's ``n`` images show the value, whose fair share is ``fair``;
    ``n`` of the result counts the skewed subjects. 0: the gate opens for each.
    """
    return share_of_subjects(is_untouched[is_skewed(base_hits, n, fair)])


def overcorrected(
    base_hits: Counts, corrected_hits: Counts, n_base: Counts, n_corrected: Counts, fair: float
) -> Found:
    """Share of all subjects whose bias changed its sign: `turn_p` is at most 0.05."""
    return share_of_subjects(turn_p(base_hits, corrected_hits, n_base, n_corrected, fair) <= 0.05)


def turn_p(
    hits: Counts, other_hits: Counts, n: Counts, n_other: Counts, fair: float | Double
) -> Double:
    """Test for each subject whether its shares in two sources are on opposite sides of the fair.

    p is at most 0.05 where the exact 95 % interval of one share lies wholly below the fair share,
    and that of the other wholly above. Not adjusted. Gail and Simon, *Testing for qualitative
    interactions*, Biometrics 41 (1985), do this by likelihood ratios.
    """
    from scipy.stats import binom

    below = [binom.cdf(k, total, fair) for k, total in ((hits, n), (other_hits, n_other))]
    above = [binom.sf(k - 1, total, fair) for k, total in ((hits, n), (other_hits, n_other))]
    p = np.minimum(np.maximum(below[0], above[1]), np.maximum(above[0], below[1]))
    return np.asarray(np.minimum(2 * p, 1.0))


def moved_away(pairs: pd.DataFrame, fair: float) -> Found:
    """Share of all subjects whose share of a value moved further from the fair share.

    ``pairs`` has a row a pair of images from equal noise: ``subject``, and whether ``base`` and
    ``corrected`` show the value. Had the correction no effect, either image could be the base
    model's: of m pairs that differ, Binomial(m, 1/2) would show the value on the corrected side.
    The p-value of a subject is the exact probability that its distance grows by at least as much.

    Returns the share, 0 if all stay or move towards the fair share, and ``subjects``: who moved
    away, with both shares, n pairs, p, and ``p_holm`` over all subjects.
    """
    from scipy.stats import binom

    rows = []
    for subject, of in pairs.groupby("subject", sort=False):
        n, before, after = len(of), int(of["base"].sum()), int(of["corrected"].sum())
        m = int((of["base"] != of["corrected"]).sum())
        both, k = (before + after - m) // 2, np.arange(m + 1)
        grown = np.abs((both + k) / n - fair) - np.abs((both + m - k) / n - fair)
        growth = abs(after / n - fair) - abs(before / n - fair)
        p = float(min(1.0, binom.pmf(k, m, 0.5)[grown >= growth - _ROUNDING].sum()))
        known = {"subject": str(subject), "base": before / n, "corrected": after / n, "n": n}
        rows.append(known | {"p": p, "is_away": growth > _ROUNDING})
    table = pd.DataFrame(rows)
    away = table.assign(p_holm=holm(table["p"].to_numpy()))[table["is_away"]]
    found = share_of_subjects(table["is_away"].to_numpy())
    return found | {"subjects": away.drop(columns="is_away").to_dict("records")}


def overfit(train: Interval, others: Interval) -> Found:
    """How much more the training occupations gained than others.

    ``(MAD_corrected - MAD_base)`` of the other occupations minus that of the training ones: 0 if
    what was learned carries over, positive if it does less on occupations that were not seen.

    References
    ----------
    Zou and Donner, *Construction of confidence limits about effect measures*, Statistics in
    Medicine 27 (2008): the interval of a difference from those of two independent estimates.
    """
    value = others.value - train.value
    below = math.hypot(others.value - others.low, train.high - train.value)
    above = math.hypot(others.high - others.value, train.value - train.low)
    return {
        "value": value,
        "low": value - below,
        "high": value + above,
        "unit": train.unit,
        "n_train": train.n,
        "n_others": others.n,
    }


def share_of_subjects(is_hit: Mask) -> Found:
    """Share of subjects with its 95 % interval over them."""
    found = share_over(np.arange(len(is_hit)), is_hit)
    return {name: found[name] for name in ("value", "low", "high", "unit", "n")}
