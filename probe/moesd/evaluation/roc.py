"""How well a score tells prompts to be opened from others: the ROC and the area under it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Double, Mask
from probe.errors import DegenerateDataError
from probe.moesd.gate.classes import Labels
from probe.stats.confidence_limits import exact_limits, student

_FEW = 5
"""Templates that lose pairs, from which on their own variance is believed more than the least."""
_NEAR = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    """Prompts behind it."""


def roc(scores: Double, should_open: Mask) -> pd.DataFrame:
    """Follow the rates of hits and of false alarms down the thresholds.

    Returns
    -------
    DataFrame
        Columns ``threshold``, ``false_alarms`` and ``hits``, from (0, 0) to (1, 1).

    Raises
    ------
    DegenerateDataError
        If all prompts should open, or none.
    """
    from sklearn.metrics import roc_curve

    _check_both(should_open)
    alarms, hits, thresholds = roc_curve(should_open, scores)
    return pd.DataFrame({"threshold": thresholds, "false_alarms": alarms, "hits": hits})


def auc(scores: Double, should_open: Mask, *, templates: Labels | None = None) -> Estimate:
    """Area under the ROC: how often a prompt to be opened scores above one to be left alone.

    0.5 is chance, 1 is perfect; ties count half. The prompts of a template (each by itself, if
    none are given) fail together. The interval is the longer on each side of two: that of a share
    of as many independent pairs as would vary like the area, exact; and Newcombe's, whose variance
    is that of the end itself. Near 1 the variance that is seen depends on the few templates that
    lose any pair, and is often too small. So the number of prompts that each counts for in
    Newcombe's is drawn towards 1, as if five more templates had said so, which is ours.

    Raises
    ------
    DegenerateDataError
        If all prompts should open, or none.

    References
    ----------
    Obuchowski, *Nonparametric analysis of clustered ROC curve data*, Biometrics 53 (1997), for the
    variance; Korn and Graubard, *Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data*, Survey Methodology 24 (1998), for the number of
    pairs; Newcombe, *Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2*, Statistics in Medicine 25 (2006), method 5.
    """
    _check_both(should_open)
    opened, closed = scores[should_open], scores[~should_open]
    wins = (opened[:, None] > closed).astype(np.float64) + 0.5 * (opened[:, None] == closed)
    value, units = float(wins.mean()), units_of(templates, len(scores))
    near = float(value >= 0.5)
    moved, numbers, losing = [], [], []
    for side, won in ((should_open, wins.mean(axis=1)), (~should_open, wins.mean(axis=0))):
        of = units[side]
        moved.append(np.bincount(of, (won - value) / len(won), minlength=int(units.max()) + 1))
        numbers.append(len(np.unique(of)))
        losing.append(len(np.unique(of[won != near])))
    variance = 2 * float(moved[0] @ moved[1])
    variance += sum(n / max(n - 1, 1) * float(m @ m) for n, m in zip(numbers, moved, strict=True))
    is_seen = variance > 0 and min(numbers) > 1
    t, n_pairs, prompts = student(max(sum(numbers) - 2, 1)), float(min(numbers)), 1.0
    if is_seen:
        n_pairs = value * (1 - value) / variance * (student(len(scores) - 1) / t) ** 2
        most = min(len(opened) / numbers[0], len(closed) / numbers[1])
        prompts = float(np.clip(_variance(value, *numbers) / variance, 1.0, most))
    prompts = (min(losing) * prompts + _FEW) / (min(losing) + _FEW)
    low, high = exact_limits(value * n_pairs, n_pairs)
    ends = [_newcombe(value, [prompts * n for n in numbers], t, end) for end in (0.0, 1.0)]
    return Estimate(value, min(float(low), ends[0]), max(float(high), ends[1]), len(scores))


def units_of(templates: Labels | None, n: int) -> npt.NDArray[np.intp]:
    """Number the templates, or the n prompts where there are none; shape (n_prompts,)."""
    return np.arange(n) if templates is None else np.unique(templates, return_inverse=True)[1]


def _variance(area: float, n_opened: float, n_closed: float) -> float:
    """Variance of an area of so many independent prompts, by Hanley and McNeil and Newcombe."""
    others = (n_opened + n_closed) / 2 - 1
    spread = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (n_opened * n_closed)


def _newcombe(value: float, numbers: list[float], t: float, end: float) -> float:
    """Find the area towards ``end`` from which the value is t of that area's standard errors."""
    from scipy.optimize import brentq

    if value == end:
        return end

    def beyond(area: float) -> float:
        return abs(area - value) - t * math.sqrt(_variance(area, numbers[0], numbers[1]))

    beside = value + _NEAR * (end - value)  # at an area of 0 or 1 itself the variance is 0
    return float(brentq(beyond, min(beside, end), max(beside, end)))


def _check_both(should_open: Mask) -> None:
    if should_open.all() or not should_open.any():
        raise DegenerateDataError(
            f"{int(should_open.sum())} of {len(should_open)} prompts should open the gate; needed "
            "some that should and some that should not"
        )
