"""Evaluate the gate and the correction on prompts whose class is known."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from probe.arrays import Mask
from probe.moesd.gate.gate import CLASSES, Labels, classify_bias_score
from probe.moesd.model import MoESD
from probe.stats.interval import Interval
from probe.stats.mean import mean_interval
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling, percentile_limits, resampled_counts


def classify_with_truth(moesd: MoESD, prompts: pd.DataFrame) -> pd.DataFrame:
    """Add the gate's answers to prompts of known kind.

    The true class follows from the kind: ``explicit`` and ``neutral`` are classes; a ``person`` is
    skewed or neutral by the prompt's own bias score. To the columns of ``prompts`` (``prompt`` and
    ``kind``, see `PromptTemplates.prompts`) it adds those of `MoESD.classify` and ``route_truth``.
    """
    answers = moesd.classify(prompts["prompt"].tolist()).drop(columns="prompt")
    kinds = prompts["kind"].to_numpy(dtype=str)
    by_bias_score = classify_bias_score(
        answers["bias_score"].to_numpy(),
        neutral_below=moesd.gate.skewed_above,
        explicit_above=np.inf,
    )
    truth = np.where(kinds == "person", by_bias_score, kinds)
    return prompts.reset_index(drop=True).join(answers).assign(route_truth=truth)


def is_treated_right(truth: Labels, route: Labels) -> Mask:
    """Whether a prompt is treated correctly; the two closed classes are treated alike."""
    opened = [np.where(np.isin(of, CLASSES[1:3]), of, "") for of in (truth, route)]
    result: Mask = opened[0] == opened[1]
    return result


def correct_levels(moesd: MoESD, prompts: pd.DataFrame) -> pd.DataFrame:
    """Add the effect of the correction to prompts of `PromptTemplates.by_level`.

    The new columns are ``route``, ``is_open``, ``bias_score``, ``bias_score_corrected`` and
    ``shift``, the distance between the prompt's embeddings before and after correction.
    """
    texts = prompts["prompt"].tolist()
    z = moesd.encoder.embed(texts)
    decision, after = moesd.decide(texts, z), moesd.embed(texts)
    return prompts.assign(
        route=decision.classes,
        is_open=decision.is_open,
        bias_score=moesd.gate.bias_score(z),
        bias_score_corrected=moesd.gate.bias_score(after),
        shift=np.linalg.norm(after - z, axis=1),
    )


def summarise_levels(
    corrected: pd.DataFrame, *, resampling: Resampling = BOOTSTRAP
) -> pd.DataFrame:
    """Summarise `correct_levels` by level and measure, with intervals over occupations.

    Measures: ``opened``, the share of prompts that are corrected (intended at the level ``none``,
    interference at the others); ``shift``, their mean shift; ``bias_score_left``, the root mean
    square bias score after over before, 1 without any effect. ``n`` counts prompts.
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
        for measure, interval in found.items():
            limits = {key: asdict(interval)[key] for key in ("value", "low", "high")}
            rows.append({"level": level, "measure": measure, **limits, "n": len(of)})
    return pd.DataFrame(rows)


def _bias_score_left(of: pd.DataFrame, *, resampling: Resampling) -> Interval:
    squares = of.assign(before=of["bias_score"] ** 2, after=of["bias_score_corrected"] ** 2)
    sums = squares.groupby("subject", sort=False)[["before", "after"]].sum().to_numpy()
    drawn = resampled_counts(len(sums), resampling.n, resampling.rng()) @ sums
    low, high = percentile_limits(np.sqrt(drawn[:, 1] / drawn[:, 0]))
    before, after = sums.sum(axis=0)
    return Interval(float(np.sqrt(after / before)), low, high, "occupations", len(sums))
