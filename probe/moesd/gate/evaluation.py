"""How well a gate does on prompts whose class is known: shares right, calibration, ROC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.ends import exact_ends, student
from probe.errors import DegenerateDataError
from probe.latent.resampling import draw_counts, interval, share_interval
from probe.moesd.gate.classes import CLASSES, Labels, Vector, classify_skew

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

Mask = npt.NDArray[np.bool_]

N_BINS = 10
_OPEN = CLASSES[1:3]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    """Prompts behind it."""


def answer(moesd: MoESD, prompts: pd.DataFrame) -> pd.DataFrame:
    """Put a gate's answers beside prompts of known kind.

    The class of a prompt follows from its kind: ``explicit`` and ``neutral`` are classes, a
    ``person`` is skewed or neutral by the prompt's own skew.

    Parameters
    ----------
    moesd : MoESD
    prompts : DataFrame
        Columns ``prompt`` and ``kind``, see `probe.text.constructed.Wordings.prompts`.

    Returns
    -------
    DataFrame
        The columns of ``prompts``, those of `MoESD.classify`, and ``route_truth``.
    """
    answers = moesd.classify(prompts["prompt"].tolist()).drop(columns="prompt")
    kinds = prompts["kind"].to_numpy(dtype=str)
    by_skew = classify_skew(
        answers["skew"].to_numpy(), neutral_below=moesd.gate.neutral_below, explicit_above=np.inf
    )
    truth = np.where(kinds == "person", by_skew, kinds)
    return prompts.reset_index(drop=True).join(answers).assign(route_truth=truth)


def is_treated_right(truth: Labels, route: Labels) -> Mask:
    """Tell where a prompt is treated as it should be: which closed class it got is no matter."""
    opened = [np.where(np.isin(of, _OPEN), of, "") for of in (truth, route)]
    result: Mask = opened[0] == opened[1]
    return result


def accuracy(is_right: Mask, templates: Labels) -> Estimate:
    """Share of prompts that are right; the interval is over templates, which fail together."""
    codes = np.unique(templates, return_inverse=True)[1]
    value, low, high = share_interval(is_right, clusters=codes if codes.max() > 0 else None)
    return Estimate(value, low, high, len(is_right))


def calibration_error(
    chances: Vector,
    truth: Labels,
    *,
    templates: Labels | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Expected calibration error of the likeliest class.

    ``sum_b n_b / n |share right in b - mean probability in b|`` over ten bins of probability of
    equal width; 0 means that a probability is what it says. Chance adds to it, and a bootstrap
    adds as much again: that is taken off the percentiles, which then are of the error that as many
    prompts show. They go at least as far as Student's with the bootstrap's standard error.

    Parameters
    ----------
    chances : ndarray of shape (n_prompts, 4)
        In the order of `CLASSES`.
    truth : ndarray of shape (n_prompts,)
    templates : ndarray of shape (n_prompts,), optional
        What is drawn, as a whole; each prompt by itself if not given.

    References
    ----------
    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 3.
    """
    table = reliability(chances, truth)
    bins, gaps = _binned(chances, truth)

    def error(counts: npt.NDArray[np.floating]) -> Vector:
        """For each row of counts, shape (n_draws, n_prompts)."""
        sums = np.stack([counts[:, bins == b] @ gaps[bins == b] for b in table["bin"]])
        result: Vector = np.abs(sums).sum(axis=0) / counts.sum(axis=1)
        return result

    n = len(truth)
    value = float(error(np.ones((1, n)))[0])
    units = _units(templates, n)
    drawn = error(_drawn(units, n_bootstrap, seed))
    low, high = interval(drawn - (drawn.mean() - value))
    half = student(max(int(units.max()), 1)) * float(drawn.std())
    return Estimate(value, max(0.0, min(low, value - half)), min(1.0, max(high, value + half)), n)


def reliability(chances: Vector, truth: Labels) -> pd.DataFrame:
    """Compare probability and share right, by bin of the likeliest class's probability.

    Returns
    -------
    DataFrame
        Columns ``bin``, ``probability`` (its mean), ``right``, ``low``, ``high`` (exact) and
        ``n``; empty bins are left out.
    """
    bins, _ = _binned(chances, truth)
    top, right = chances.max(axis=1), np.asarray(CLASSES)[chances.argmax(axis=1)] == truth
    rows = []
    for b in np.unique(bins):
        share, low, high = share_interval(right[bins == b])
        rows.append(
            {
                "bin": int(b),
                "probability": float(top[bins == b].mean()),
                **{"right": share, "low": low, "high": high, "n": int((bins == b).sum())},
            }
        )
    return pd.DataFrame(rows)


def roc(scores: Vector, should_open: Mask) -> pd.DataFrame:
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


def auc(
    scores: Vector,
    should_open: Mask,
    *,
    templates: Labels | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC: how often a prompt to be opened scores above one to be left alone.

    0.5 is chance, 1 is perfect; ties count half. It is a share of pairs, and its interval is exact
    at the number of independent ones that would vary as much as the area does when ``templates``
    (prompts, if not given) are drawn anew; where nothing varies, at the number of templates of the
    smaller side. As there, few templates make it wider, as Student's t is.

    References
    ----------
    Korn and Graubard, *Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data*, Survey Methodology 24 (1998), for the effective number.
    """
    _check_both(should_open)
    opened, closed = scores[should_open], scores[~should_open]
    wins = (opened[:, None] > closed).astype(np.float64) + 0.5 * (opened[:, None] == closed)
    value, units = float(wins.mean()), _units(templates, len(scores))
    counts = _drawn(units, n_bootstrap, seed)
    of = counts[:, should_open], counts[:, ~should_open]
    with np.errstate(invalid="ignore"):  # a draw without one of the sides has no area
        areas = np.einsum("bi,ij,bj->b", of[0], wins, of[1], optimize=True) / (
            of[0].sum(axis=1) * of[1].sum(axis=1)
        )
    error2 = float(np.nanvar(areas))
    sizes = [len(np.unique(units[side])) for side in (should_open, ~should_open)]
    few = (student(len(scores) - 1) / student(max(sum(sizes) - 2, 1))) ** 2
    counted = few * value * (1 - value) / error2 if error2 > 0 else float(min(sizes))
    low, high = exact_ends(value * counted, counted)
    return Estimate(value, float(low), float(high), len(scores))


def _units(templates: Labels | None, n: int) -> npt.NDArray[np.intp]:
    """Number the templates, or the prompts where there are none; shape (n_prompts,)."""
    return np.arange(n) if templates is None else np.unique(templates, return_inverse=True)[1]


def _drawn(units: npt.NDArray[np.intp], n_bootstrap: int, seed: int) -> Vector:
    """Draw units anew; how often each prompt comes, shape (n_bootstrap, n_prompts)."""
    counts = draw_counts(int(units.max()) + 1, n_bootstrap, np.random.default_rng(seed))
    return counts[:, units].astype(np.float64)


def _binned(chances: Vector, truth: Labels) -> tuple[npt.NDArray[np.intp], Vector]:
    """Bin of each prompt, and whether it is right less the probability that it is."""
    top = chances.max(axis=1)
    right = np.asarray(CLASSES)[chances.argmax(axis=1)] == truth
    bins = np.minimum((top * N_BINS).astype(np.intp), N_BINS - 1)
    return bins, right - top


def _check_both(should_open: Mask) -> None:
    if should_open.all() or not should_open.any():
        raise DegenerateDataError(
            f"{int(should_open.sum())} of {len(should_open)} prompts should open the gate; needed "
            "some that should and some that should not"
        )
