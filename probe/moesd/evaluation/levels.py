"""What a correction does to prompts that say more and more of the gender."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probe.moesd.model import MoESD
from probe.stats.interval import Interval
from probe.stats.mean import mean_interval
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_counts


def correct_levels(moesd: MoESD, prompts: pd.DataFrame) -> pd.DataFrame:
    """Put what the correction does beside prompts of `PromptTemplates.by_level`.

    Returns
    -------
    DataFrame
        With the columns ``route``, ``is_open``, ``bias_score``, ``bias_score_corrected`` and
        ``shift``, the distance between the prompt's embeddings before and after; 0 is untouched.
    """
    said = prompts["prompt"].tolist()
    z = moesd.encoder.embed(said)
    decision, after = moesd.decide(said, z), moesd.embed(said)
    # closed prompts are left alone bit for bit; embedding them twice would only add rounding
    shift = np.where(decision.is_open, np.linalg.norm(after - z, axis=1), 0.0)
    bias_scores = moesd.gate.bias_score(z)
    return prompts.assign(
        route=decision.classes,
        is_open=decision.is_open,
        bias_score=bias_scores,
        bias_score_corrected=np.where(decision.is_open, moesd.gate.bias_score(after), bias_scores),
        shift=shift,
    )


def summarise_levels(
    corrected: pd.DataFrame, *, resampling: Resampling = BOOTSTRAP
) -> pd.DataFrame:
    """Give, by level, what was gained and what was disturbed, with intervals over occupations.

    Returns
    -------
    DataFrame
        Columns ``level``, ``measure``, ``value``, ``low``, ``high``, ``n``. Measures:
        ``opened``, the share of prompts that are corrected (wanted at the level ``none``,
        interference at the others); ``shift``, their mean shift; ``bias_score_left``, the root mean
        square bias score after over before, 1 where nothing is done.
    """
    rows = []
    for level, of in corrected.groupby("level", sort=False):
        clusters = pd.factorize(of["subject"])[0]
        found = {
            "opened": proportion_interval(of["is_open"].to_numpy(), clusters=clusters),
            "shift": mean_interval(
                of["shift"].to_numpy(), clusters=clusters, resampling=resampling
            ),
            "bias_score_left": _bias_score_left(of, resampling=resampling),
        }
        for measure, of_measure in found.items():
            limits = {"value": of_measure.value, "low": of_measure.low, "high": of_measure.high}
            rows.append({"level": level, "measure": measure, **limits, "n": len(of)})
    return pd.DataFrame(rows)


def _bias_score_left(of: pd.DataFrame, *, resampling: Resampling) -> Interval:
    squares = of.assign(before=of["bias_score"] ** 2, after=of["bias_score_corrected"] ** 2)
    sums = squares.groupby("subject", sort=False)[["before", "after"]].sum().to_numpy()
    drawn = resampled_counts(len(sums), resampling.n, resampling.rng()) @ sums
    low, high = percentile_limits(np.sqrt(drawn[:, 1] / drawn[:, 0]))
    before, after = sums.sum(axis=0)
    return Interval(float(np.sqrt(after / before)), low, high, "occupations", len(sums))
