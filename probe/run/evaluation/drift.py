"""How far the correction moves the neutral pictures as a set, and each by itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.audit.failures import mean_over, share_over
from probe.run.evaluation import evaluators
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.quality.feature_cache import LookOnce
    from probe.images.quality.features import FeatureExtractor

MAX_PAIRS = 1000
"""Pairs of pictures that are compared, at most; of more so many are drawn. Our choice."""
MIN_SUBJECTS = 4
"""Fewer give no interval over subjects, and no figure is given."""


def measure_drift(
    run: Run, labels: pd.DataFrame, *, extractor: FeatureExtractor | LookOnce | None = None
) -> dict[str, Any]:
    """Compare the base model's neutral pictures with the corrected ones from the same noise.

    All of it is drift, how much changes, and not quality, how good the pictures are: there are no
    real pictures to compare with. A correction that does its work has some.

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
        ``features`` (of which model), ``n_pairs``, and each with ``value, low, high``, ``unit``
        and ``n``: ``frechet`` (see `frechet_drift`), ``kernel`` (see `kid`), ``cosine`` (mean
        ``1 - cos`` of a pair) and ``unmoved`` (share of the pairs that are the same picture). Of
        fewer than `MIN_SUBJECTS` occupations no figure is given.
    """
    from probe.images.quality.drift import paired_distances
    from probe.images.quality.frechet import frechet_drift
    from probe.images.quality.kid import kid

    config = run.config.evaluate
    keys = labels[labels["kind"] == "neutral"].pivot(
        index=["file_name", "subject"], columns="side", values="key"
    )
    keys = at_most(MAX_PAIRS, keys.reset_index("subject"), np.random.default_rng(config.seed))
    if extractor is None:
        extractor = evaluators.load_features(run)
    subjects, names = pd.factorize(keys["subject"])
    found: dict[str, Any] = {"features": extractor.name, "n_pairs": len(keys)}
    if len(names) < MIN_SUBJECTS:
        return found
    base, corrected = _features(run, keys, extractor)
    of = {"subjects_a": subjects, "subjects_b": subjects}
    distances = paired_distances(base, corrected)
    cosine = mean_over(subjects, distances, resampling=config.resampling)
    del cosine["n_images"]
    over = {"unit": "occupations", "n": len(names)}
    return found | {
        "frechet": asdict(frechet_drift(base, corrected, subjects)) | over,
        "kernel": asdict(kid(base, corrected, **of, is_paired=True, seed=config.seed)) | over,
        "cosine": cosine | {"low": max(0.0, cosine["low"])},
        "unmoved": share_over(subjects, (keys["base"] == keys["moesd"]).to_numpy()),
    }


def at_most(n: int, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw n rows of more, in their order; n rows or fewer stay as they are."""
    if len(rows) <= n:
        return rows
    return rows.iloc[np.sort(rng.permutation(len(rows))[:n])]


def _features(
    run: Run, keys: pd.DataFrame, extractor: FeatureExtractor | LookOnce
) -> tuple[Any, Any]:
    """Features of both sides; a picture that both share is looked at once."""
    files = {
        key: run.folder / "images" / side / name
        for side in ("moesd", "base")
        for name, key in keys[side].items()
    }
    seen = extractor.extract(list(files.values()), progress=run.progress_on("comparing pictures"))
    places = {key: row for row, key in enumerate(files)}
    base, corrected = (seen[keys[side].map(places).to_numpy()] for side in ("base", "moesd"))
    return base, corrected
