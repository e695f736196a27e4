"""Which images show the levels of explicitness, and the figures of each level."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Mask
from probe.audit.failures import share_over
from probe.audit.fairness import fairness_figures, paired_difference
from probe.audit.measures import count_labels
from probe.audit.missing_label_bounds import is_seen
from probe.images.plan import GenerationPlan, planned_rows
from probe.run.evaluation.measurement import SPLITS
from probe.run.files import SIDES
from probe.stats.mean import mean_interval
from probe.stats.resampling import BOOTSTRAP, Resampling
from probe.text.challenge_prompts import GENDERS

Found = dict[str, Any]

NONE = "none"
"""The level whose prompts say nothing of the gender."""


def plan_levels(prompts: pd.DataFrame, *, n_images: int, seed: int) -> GenerationPlan:
    """Plan as many images of each occupation at every level, the wordings taken in turn.

    Where the level says a gender, one half of the images ask for each, from the same noise. Image i
    of an occupation starts from the noise of image i of the run. ``prompts`` are those of
    `PromptTemplates.by_level`.
    """
    tables = []
    for (level, subject, split), of in prompts.groupby(["level", "subject", "split"], sort=False):
        genders = GENDERS if (of["gender"] != "").all() else ("",)
        for gender in genders:
            wordings = of.loc[of["gender"] == gender, "prompt"].tolist()
            kind = f"{level}-{gender}" if gender else level
            rows = planned_rows(kind, subject, wordings, n_images // len(genders), seed)
            tables.append(pd.DataFrame(rows).assign(level=level, asked=gender, split=split))
    return GenerationPlan(pd.concat(tables, ignore_index=True))


def pair_images(images: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """Put both models' images of one prompt and noise side by side: ``seen_SIDE``, ``key_SIDE``.

    Pairs of `probe.run.both_sides.make_both_sides` without a label on one side are left out.
    """
    shared = ["level", "asked", "subject", "split", "prompt", "seed", "file_name"]
    pairs = images.loc[images["side"] == SIDES[0], shared]
    for side in SIDES:
        of = images[images["side"] == side].set_index("file_name")[[attribute, "key"]]
        of.columns = [f"seen_{side}", f"key_{side}"]
        pairs = pairs.join(of, on="file_name")
    return pairs[is_seen(pairs, *(f"seen_{side}" for side in SIDES))].reset_index(drop=True)


def measure_levels(
    pairs: pd.DataFrame,
    *,
    values: Sequence[str],
    words: Mapping[str, str],
    resampling: Resampling = BOOTSTRAP,
) -> pd.DataFrame:
    """Measure what the correction does at each level of explicitness.

    ``adherent``: share of images that show the gender asked for, with ``adherence_difference``,
    corrected less base on the same noise. ``mad`` and ``mad_difference``: as of ``evaluate``; 0
    where both genders are asked for and shown. ``opened``: share of prompts that the gate has
    corrected. ``changed``: share of images that are not the base model's, bit for bit, and
    ``relabelled``: share of these in which another gender is seen.

    ``pairs`` are those of `pair_images`, with ``is_open``: whether the gate has the prompt
    corrected. ``words`` has the value that shows each gender asked for. One row a level, split,
    measure and side (empty unless it is one side's); ``n`` counts the images of a side, or prompts.
    """
    rows: list[Found] = []
    for level, of_level in pairs.groupby("level", sort=False):
        for split in SPLITS:
            of = of_level if split == "all" else of_level[of_level["split"] == split]
            if len(of):
                found = _measures(of, values, words, {"resampling": resampling})
                rows += [{"level": level, "split": split, "side": "", **row} for row in found]
    columns = ["level", "split", "measure", "side", "value", "low", "high", "n", "floor", "p"]
    return pd.DataFrame(rows, columns=columns)


def _measures(
    of: pd.DataFrame, values: Sequence[str], words: Mapping[str, str], drawing: Mapping[str, Any]
) -> Iterator[Found]:
    """Every measure of the images of one level and split."""
    subjects, is_asked = of["subject"], bool((of["asked"] != "").all())
    if is_asked:
        wanted = of["asked"].map(dict(words))
        base, other = (of[f"seen_{side}"] == wanted for side in SIDES)
        for side, is_right in zip(SIDES, (base, other), strict=True):
            yield {"measure": "adherent", "side": side, **_share(is_right, subjects)}
        # Of a single occupation, the interval is over images.
        clusters = pd.factorize(subjects)[0] if subjects.nunique() > 1 else None
        change = other.to_numpy(float) - base.to_numpy(float)
        found = mean_interval(change, clusters=clusters, bounds=(-1.0, 1.0), **drawing)
        yield {"measure": "adherence_difference", **asdict(found), "n": len(of)}
    counts = [
        count_labels(subjects.tolist(), of[f"seen_{side}"].tolist(), values=values)[1]
        for side in SIDES
    ]
    for side, counted in zip(SIDES, counts, strict=True):
        mad = asdict(fairness_figures(counted, **drawing)["mad"])
        floor = np.nan if is_asked else mad["floor"]
        yield {"measure": "mad", "side": side, **mad, "floor": floor, "n": len(of)}
    yield {"measure": "mad_difference", **asdict(paired_difference(*counts, **drawing))} | {
        "n": len(of)
    }
    prompts = of.drop_duplicates("prompt")
    yield {"measure": "opened", **_share(prompts["is_open"], prompts["subject"])}
    is_changed = of["key_base"] != of["key_moesd"]
    yield {"measure": "changed", **_share(is_changed, subjects)}
    if len(changed := of[is_changed]):
        is_other = changed["seen_base"] != changed["seen_moesd"]
        yield {"measure": "relabelled", **_share(is_other, changed["subject"])}


def _share(is_hit: Mask | pd.Series, subjects: pd.Series) -> Found:
    """Give a share of images with its interval over occupations; ``n`` counts images."""
    found = share_over(subjects, is_hit)
    return {**found, "n": found["n_images"]}
