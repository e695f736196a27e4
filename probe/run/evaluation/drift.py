"""How far the correction moves the neutral pictures as a set, and each by itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.run.evaluation import evaluators
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.quality.feature_cache import LookOnce
    from probe.images.quality.features import FeatureExtractor

MAX_PAIRS = 1000
"""Pairs of pictures that are compared, at most; of more so many are drawn. Our choice."""
MIN_PAIRS = 7
"""Fewer have too few neighbours to look at, and no figure is given."""


def measure_drift(
    run: Run, labels: pd.DataFrame, *, extractor: FeatureExtractor | LookOnce | None = None
) -> dict[str, Any]:
    """Compare the base model's neutral pictures with the corrected ones from the same noise.

    All of it is drift: how much changes, not how good the pictures are, for there are no real
    pictures to hold them against. A correction that does its work has some.

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
        ``is_drift``, ``features`` (whose), ``n_pairs``, and each with ``value``, ``low`` and
        ``high``: ``fid``, ``kid``, ``cmmd``, ``precision``, ``recall``, ``density``,
        ``coverage``, ``paired`` (mean ``1 - cos``; the share of pictures that did not move at
        all is ``unmoved``). Of fewer than `MIN_PAIRS` pairs no figure is given.
    """
    from probe.audit.fairness import share_interval
    from probe.images.quality.drift import paired_drift
    from probe.images.quality.frechet import fid
    from probe.images.quality.kid import cmmd, kid
    from probe.images.quality.manifold import manifold_figures

    config = run.config.evaluate
    keys = labels[labels["kind"] == "neutral"].pivot(
        index="file_name", columns="side", values="key"
    )
    keys = at_most(MAX_PAIRS, keys, np.random.default_rng(config.seed))
    if extractor is None:
        extractor = evaluators.load_features(run)
    found: dict[str, Any] = {"is_drift": True, "features": extractor.name, "n_pairs": len(keys)}
    if len(keys) < MIN_PAIRS:
        return found
    base, corrected = _features(run, keys, extractor)
    inside = asdict(manifold_figures(base, corrected))
    paired = paired_drift(base, corrected, n_bootstrap=config.n_bootstrap, seed=config.seed)
    return found | {
        "fid": asdict(fid(base, corrected)),
        "kid": asdict(kid(base, corrected, is_paired=True, seed=config.seed)),
        "cmmd": asdict(cmmd(base, corrected, is_paired=True, seed=config.seed)),
        **inside,
        "paired": asdict(paired),
        "unmoved": asdict(share_interval(int((keys["base"] == keys["moesd"]).sum()), len(keys))),
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
