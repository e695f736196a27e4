"""How well a gate does on prompts whose class is known: shares right and calibration."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Double, Mask
from probe.moesd.evaluation.roc import Estimate, units_of
from probe.moesd.gate.classes import CLASSES, Labels, classify_bias_score
from probe.moesd.model import MoESD
from probe.stats.confidence_limits import student, widened
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_counts

N_BINS = 10
_OPEN = CLASSES[1:3]


def answer(moesd: MoESD, prompts: pd.DataFrame) -> pd.DataFrame:
    """Put a gate's answers beside prompts of known kind.

    The class of a prompt follows from its kind: ``explicit`` and ``neutral`` are classes, a
    ``person`` is skewed or neutral by the prompt's own bias score.

    Parameters
    ----------
    moesd : MoESD
    prompts : DataFrame
        Columns ``prompt`` and ``kind``, see `probe.text.challenge_prompts.PromptTemplates.prompts`.

    Returns
    -------
    DataFrame
        The columns of ``prompts``, those of `MoESD.classify`, and ``route_truth``.
    """
    answers = moesd.classify(prompts["prompt"].tolist()).drop(columns="prompt")
    kinds = prompts["kind"].to_numpy(dtype=str)
    by_bias_score = classify_bias_score(
        answers["bias_score"].to_numpy(),
        neutral_below=moesd.gate.neutral_below,
        explicit_above=np.inf,
    )
    truth = np.where(kinds == "person", by_bias_score, kinds)
    return prompts.reset_index(drop=True).join(answers).assign(route_truth=truth)


def is_treated_right(truth: Labels, route: Labels) -> Mask:
    """Tell where a prompt is treated as it should be: which closed class it got is no matter."""
    opened = [np.where(np.isin(of, _OPEN), of, "") for of in (truth, route)]
    result: Mask = opened[0] == opened[1]
    return result


def accuracy(is_right: Mask, templates: Labels) -> Estimate:
    """Share of prompts that are right; the interval is over templates, which fail together."""
    codes = units_of(templates, len(is_right))
    found = proportion_interval(is_right, clusters=codes if codes.max() > 0 else None)
    return Estimate(found.value, found.low, found.high, len(is_right))


def calibration_error(
    chances: Double,
    truth: Labels,
    *,
    templates: Labels | None = None,
    resampling: Resampling = BOOTSTRAP,
) -> Estimate:
    """Expected calibration error of the likeliest class.

    ``sum_b n_b / n |share right in b - mean probability in b|`` over ten bins of probability of
    equal width; 0 means that a probability is what it says. Chance adds to it, and a bootstrap
    adds as much again: that is taken off the percentiles, which then are of the error that as many
    prompts show. They go at least as far as Student's with the bootstrap's standard error, and
    upwards, as the error of this figure grows with it, as far as Student's of its logarithm.

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

    def error(counts: npt.NDArray[np.floating]) -> Double:
        """For each row of counts, shape (n_draws, n_prompts)."""
        sums = np.stack([counts[:, bins == b] @ gaps[bins == b] for b in table["bin"]])
        result: Double = np.abs(sums).sum(axis=0) / counts.sum(axis=1)
        return result

    n = len(truth)
    value = float(error(np.ones((1, n)))[0])
    units = units_of(templates, n)
    drawn = error(_drawn(units, resampling))
    low, high = percentile_limits(drawn - (drawn.mean() - value))
    n_units = int(units.max()) + 1
    # a bootstrap of few units is too sure
    few = math.sqrt(n_units / max(n_units - 1, 1))
    half = student(max(n_units - 1, 1)) * float(drawn.std()) * few
    low, high = value - few * (value - low), value + few * (high - value)
    above = half * widened(half, value)
    return Estimate(value, max(0.0, min(low, value - half)), min(1.0, max(high, value + above)), n)


def reliability(chances: Double, truth: Labels) -> pd.DataFrame:
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
        share = proportion_interval(right[bins == b])
        rows.append(
            {
                "bin": int(b),
                "probability": float(top[bins == b].mean()),
                **{"right": share.value, "low": share.low, "high": share.high, "n": share.n},
            }
        )
    return pd.DataFrame(rows)


def _drawn(units: npt.NDArray[np.intp], resampling: Resampling) -> Double:
    """Draw units anew; how often each prompt comes, shape (n_draws, n_prompts)."""
    counts = resampled_counts(int(units.max()) + 1, resampling.n, resampling.rng())
    return counts[:, units].astype(np.float64)


def _binned(chances: Double, truth: Labels) -> tuple[npt.NDArray[np.intp], Double]:
    """Bin of each prompt, and whether it is right less the probability that it is."""
    top = chances.max(axis=1)
    right = np.asarray(CLASSES)[chances.argmax(axis=1)] == truth
    bins = np.minimum((top * N_BINS).astype(np.intp), N_BINS - 1)
    return bins, right - top
