"""How far the correction moves the neutral images, as a set and each by itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.audit.failures import mean_over, share_over
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.quality.features import FeatureExtractor

MAX_PAIRS = 1000
"""Pairs of images that are compared, at most; of more, a random sample. Our choice."""
MIN_SUBJECTS = 4
"""Fewer give no interval over subjects, and no figure is given."""


def measure_drift(run: Run, labels: pd.DataFrame, extractor: FeatureExtractor) -> dict[str, Any]:
    """Compare the base model's neutral images with the corrected ones from the same noise.

    Drift is how much changes, not how good the images are: there are no real images to compare
    with. An effective correction has some.

    Returns
    -------
    dict
        ``features`` (of which model), ``n_pairs``, and each with ``value, low, high``, ``unit``
        and ``n``: ``frechet`` (see `frechet_drift`), ``kernel`` (see `kid`), ``cosine`` (mean
        ``1 - cos`` of a pair) and ``unmoved`` (share of the pairs that are the same image). No
        figure is given for fewer than `MIN_SUBJECTS` occupations.
    """
    from probe.images.quality.drift import paired_distances
    from probe.images.quality.frechet import frechet_drift
    from probe.images.quality.kid import kid

    config = run.config.evaluate
    keys = labels[labels["kind"] == "neutral"].pivot(
        index=["file_name", "subject"], columns="side", values="key"
    )
    keys = keys.reset_index("subject")
    if len(keys) > MAX_PAIRS:
        drawn = np.random.default_rng(config.seed).permutation(len(keys))[:MAX_PAIRS]
        keys = keys.iloc[np.sort(drawn)]
    subjects, names = pd.factorize(keys["subject"])
    found: dict[str, Any] = {"features": extractor.name, "n_pairs": len(keys)}
    if len(names) < MIN_SUBJECTS:
        return found
    base, corrected = _features(run, keys, extractor)
    cosine = mean_over(subjects, paired_distances(base, corrected), resampling=config.resampling)
    del cosine["n_images"]
    kernel = kid(
        base,
        corrected,
        subjects_a=subjects,
        subjects_b=subjects,
        is_paired=True,
        seed=config.seed,
    )
    over = {"unit": "occupations", "n": len(names)}
    return found | {
        "frechet": asdict(frechet_drift(base, corrected, subjects)) | over,
        "kernel": asdict(kernel) | over,
        "cosine": cosine | {"low": max(0.0, cosine["low"])},
        "unmoved": share_over(subjects, (keys["base"] == keys["moesd"]).to_numpy()),
    }


def _features(run: Run, keys: pd.DataFrame, extractor: FeatureExtractor) -> tuple[Any, Any]:
    """Features of both sides; an image that both share is seen once."""
    files = {
        key: run.folder / "images" / side / name
        for side in ("moesd", "base")
        for name, key in keys[side].items()
    }
    seen = extractor.extract(list(files.values()), progress=run.progress_on("comparing images"))
    rows = {key: row for row, key in enumerate(files)}
    base, corrected = (seen[keys[side].map(rows).to_numpy()] for side in ("base", "moesd"))
    return base, corrected
