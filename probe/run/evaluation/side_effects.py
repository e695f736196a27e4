"""How the correction changes the images: drift, and equivalence of their quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.audit.failures import mean_over, share_over
from probe.audit.missing_label_bounds import is_seen
from probe.images.quality.kid import kid
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import Measurement
from probe.run.files import SIDES
from probe.run.folder import Run
from probe.stats.equivalence import equivalence_p
from probe.stats.interval import joined_limits
from probe.stats.mean import mean_interval
from probe.stats.resampling import Resampling

if TYPE_CHECKING:
    from probe.images.quality.features import FeatureExtractor

MAX_PAIRS = 1000
"""Pairs of images that are compared, at most; of more, a random sample. Our choice."""
MIN_SUBJECTS = 4
"""Fewer give no interval over subjects, and no figure is given."""
CAPTIONS = {"neutral": 4_828, "explicit": 6_931, "object": 18_241}
"""Captions of COCO that name people and no gender, that name one, and that name nobody.

Of the 30,000 that Gandikota et al., *Unified Concept Editing in Diffusion Models* (2024), publish,
as ``moesd-probe prompts`` reads them. The paper measures quality on captions of COCO.
"""

Found = dict[str, Any]


def measure_drift(run: Run, labels: pd.DataFrame, extractor: FeatureExtractor) -> Found:
    """Compare the base model's neutral images with the corrected ones from the same noise.

    Drift is how much changes, not how good the images are: there are no real images to compare
    with. An effective correction has some. ``frechet`` (see `frechet_drift`), ``kernel`` (see
    `kid`), ``cosine`` (mean ``1 - cos`` of a pair) and ``unmoved`` (share of the pairs that are the
    same image) are left out for fewer than `MIN_SUBJECTS` occupations.
    """
    from probe.images.quality.frechet import frechet_drift, paired_distances

    config = run.config.evaluate
    keys = labels[labels["kind"] == "neutral"].pivot(
        index=["file_name", "subject"], columns="side", values="key"
    )
    keys = keys.reset_index("subject")
    if len(keys) > MAX_PAIRS:
        drawn = np.random.default_rng(config.seed).permutation(len(keys))[:MAX_PAIRS]
        keys = keys.iloc[np.sort(drawn)]
    subjects, names = pd.factorize(keys["subject"])
    found: Found = {"features": extractor.name, "n_pairs": len(keys)}
    if len(names) < MIN_SUBJECTS:
        return found
    base, corrected = _features(run, keys, extractor)
    cosine = mean_over(subjects, paired_distances(base, corrected), resampling=config.resampling)
    del cosine["n_images"]
    paired: Found = {"subjects_a": subjects, "subjects_b": subjects, "is_paired": True}
    kernel = kid(base, corrected, seed=config.seed, **paired)
    over = {"unit": "occupations", "n": len(names)}
    return found | {
        "frechet": asdict(frechet_drift(base, corrected, subjects)) | over,
        "kernel": asdict(kernel) | over,
        "cosine": cosine | {"low": max(0.0, cosine["low"])},
        "unmoved": share_over(subjects, (keys["base"] == keys["moesd"]).to_numpy()),
    }


def comparable_quality(
    measured: Measurement, *, clip_margin: float, recognition_margin: float
) -> Found:
    """Test whether CLIP score and recognition are equivalent: subject means, corrected minus base.

    Returns ``clip_score``, ``clip_score_like_for_like``, ``clip_score_of_captions`` and
    ``subject_recognised``, each an interval with ``p_equivalent`` (Schuirmann's two one-sided
    tests) and ``margin``; nothing if there is a single subject.
    """
    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    scores = neutral.assign(is_recognised=neutral[SUBJECT_SEEN] == neutral["subject"])
    means = scores.groupby(["side", "subject"])[["clip_score", "is_recognised"]].mean()
    change = (means.loc["moesd"] - means.loc["base"]).astype(np.float64)
    if len(change) < 2:
        return {}
    resampling = measured.resampling
    found: Found = {}
    for name, column, margin, bounds in (
        ("clip_score", "clip_score", clip_margin, None),
        ("subject_recognised", "is_recognised", recognition_margin, (-1.0, 1.0)),
    ):
        rows = change[column].to_numpy()
        interval = mean_interval(rows, bounds=bounds, unit="occupations", resampling=resampling)
        p = equivalence_p(rows, margin, bounds=bounds)
        found[name] = {**asdict(interval), "p_equivalent": p, "margin": margin}
    sides = [measured.labels[measured.labels["side"] == side] for side in SIDES]
    options: Found = {"resampling": resampling, "margin": clip_margin}
    changes = {
        "clip_score_like_for_like": like_for_like(*sides, attribute=measured.attribute, **options),
        "clip_score_of_captions": over_captions(*sides, explicit=list(measured.asked), **options),
    }
    return found | {name: change for name, change in changes.items() if change}


def over_captions(
    base: pd.DataFrame,
    other: pd.DataFrame,
    *,
    explicit: Sequence[str],
    resampling: Resampling,
    margin: float | None = None,
) -> Found | None:
    """Change of the CLIP score over captions of all kinds, mixed as in `CAPTIONS`.

    The changes of each occupation, neutral and explicit, are weighted and added; those of objects
    are independent of them, and the squares of both uncertainties add up. ``explicit`` names the
    kinds that say a gender. With a margin, equivalence is tested too. None if fewer than two
    occupations or objects have images of all kinds on both sides.
    """
    kinds = dict.fromkeys(explicit, "explicit") | {"neutral": "neutral", "object": "object"}
    before, after = (
        table.groupby([table["kind"].map(kinds), "subject"])["clip_score"].mean()
        for table in (base, other)
    )
    change = (after - before).unstack("subject").reindex(list(CAPTIONS)).astype(np.float64)
    weights = pd.Series(CAPTIONS) / sum(CAPTIONS.values())
    weighted = change.mul(weights, axis=0)
    people = weighted.loc[["neutral", "explicit"]].sum(min_count=2).dropna().to_numpy()
    objects = weighted.loc["object"].dropna().to_numpy()
    if min(len(people), len(objects)) < 2:
        return None
    of_people = mean_interval(people, resampling=resampling, unit="occupations")
    of_objects = mean_interval(objects, resampling=resampling, unit="objects")
    shift = of_objects.value
    moved = {name: getattr(of_people, name) + shift for name in ("value", "low", "high")}
    found = {
        **asdict(joined_limits(replace(of_people, **moved), of_objects)),
        "n_objects": len(objects),
        "kinds": weights.to_dict(),
    }
    if margin is not None:
        p = equivalence_p(people, margin, others=objects)
        found |= {"p_equivalent": p, "margin": margin}
    return found


def like_for_like(
    base: pd.DataFrame,
    other: pd.DataFrame,
    *,
    attribute: str,
    resampling: Resampling,
    margin: float | None = None,
) -> Found | None:
    """Change of the CLIP score among neutral images that show the same value of an attribute.

    Beside it ``seen`` (the mean weight of the values that both sides show, 0 to 1) and
    ``composition`` (the rest of the change, with its interval). None if fewer than two subjects
    show a value on both sides. See `probe.images.quality.composition.decompose_change`.
    """
    from probe.images.quality.composition import decompose_change

    before, after = (
        table[(table["kind"] == "neutral") & is_seen(table, attribute)].rename(
            columns={"clip_score": "score"}
        )
        for table in (base, other)
    )
    change = decompose_change(before, after, group=attribute)
    if len(change.subjects) < 2:
        return None
    like, rest = (
        asdict(mean_interval(rows, resampling=resampling, unit="occupations"))
        for rows in (change.like_for_like, change.composition)
    )
    found = {**like, "seen": float(change.seen.mean()), "composition": rest}
    if margin is not None:
        found |= {"p_equivalent": equivalence_p(change.like_for_like, margin), "margin": margin}
    return found


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
