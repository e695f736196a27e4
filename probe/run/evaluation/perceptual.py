"""How far each picture moves as a vision model sees it, by kind of prompt and by subject."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.run.evaluation import evaluators
from probe.run.evaluation.drift import at_most
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.quality.feature_cache import LookOnce
    from probe.images.quality.features import FeatureExtractor

KINDS = ("neutral", "female", "male", "object")
"""Kinds of prompts; all but the first are meant to stay as they are."""
MAX_PAIRS = 500
"""Pairs of a kind that are compared, at most; of more so many are drawn. Our choice."""


def measure_perceptual(
    run: Run, labels: pd.DataFrame, *, extractor: FeatureExtractor | LookOnce | None = None
) -> dict[str, Any]:
    """Measure how far pictures from the same noise are apart in all layers of a vision model.

    See `probe.images.quality.perceptual.perceptual_distances`. A pair that is the same picture,
    bit for bit, is at 0 and is not looked at.

    Parameters
    ----------
    run : Run
    labels : DataFrame
        As `probe.run.evaluation.labels.label_pictures` gives them.
    extractor : FeatureExtractor or LookOnce, optional
        That of the setting ``features`` if not given.

    Returns
    -------
    dict
        ``features`` (whose), ``is_lpips`` (False: nothing is weighted by people's judgements),
        ``kinds``, by kind of prompt the mean over subjects of their mean distances, with its
        interval over ``n`` subjects (``unit`` says of which sort) and ``n_pairs``; ``subjects``,
        of neutral prompts, each with its mean and the interval over its ``n`` pairs. Of fewer than
        2 pairs there is no figure.
    """
    from probe.images.quality.perceptual import perceptual_distances
    from probe.stats.mean import mean_interval

    config = run.config.evaluate
    pairs = _pairs(labels, config.seed)
    if extractor is None:
        extractor = evaluators.load_features(run)
    moved = pairs["base"] != pairs["moesd"]
    distances = np.zeros(len(pairs))
    if moved.any():
        sides = (
            [run.folder / "images" / side / name for name in pairs.loc[moved, "file_name"]]
            for side in ("base", "moesd")
        )
        progress = run.progress_on("comparing pairs layer by layer")
        distances[moved.to_numpy()] = perceptual_distances(extractor, *sides, progress=progress)
    pairs = pairs.assign(distance=distances)

    def figure(values: pd.Series, unit: str) -> dict[str, Any]:
        found = mean_interval(values.to_numpy(), resampling=config.resampling, unit=unit)
        return asdict(found) | {"low": max(0.0, found.low)}

    kinds = {}
    for kind, of_kind in pairs.groupby("kind", sort=False):
        means = of_kind.groupby("subject", sort=False)["distance"].mean()
        if len(of_kind) > 1:
            unit = "objects" if kind == "object" else "occupations"
            # a single subject varies by its pairs alone
            over = (means, unit) if len(means) > 1 else (of_kind["distance"], "pairs")
            kinds[kind] = {**figure(*over), "n_pairs": len(of_kind)}
    neutral = pairs[pairs["kind"] == "neutral"].groupby("subject", sort=False)["distance"]
    return {
        "is_lpips": False,
        "features": extractor.name,
        "kinds": kinds,
        "subjects": [
            {"subject": subject, **figure(of, "pairs")} for subject, of in neutral if len(of) > 1
        ],
    }


def _pairs(labels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row a pair: ``kind, subject, file_name`` and the key of the picture on both sides."""
    table = labels[labels["kind"].isin(KINDS)].pivot(
        index=["kind", "subject", "file_name"], columns="side", values="key"
    )
    table = table.reset_index()
    rng = np.random.default_rng(seed)
    parts = [at_most(MAX_PAIRS, table[table["kind"] == kind], rng) for kind in KINDS]
    return pd.concat(parts, ignore_index=True)
