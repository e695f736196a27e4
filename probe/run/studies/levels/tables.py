"""From labelled pictures of both models to the figures of each level of specificity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Double, Mask
from probe.audit.failures import share_over
from probe.audit.fairness import (
    count_labels,
    fairness_figures,
    paired_difference,
)
from probe.audit.missing_label_bounds import is_seen
from probe.run.evaluation.measurement import SPLITS
from probe.run.files import SIDES
from probe.stats.mean import mean_interval
from probe.stats.resampling import BOOTSTRAP, Resampling

Found = dict[str, Any]

NONE = "none"
"""The level whose prompts say nothing of the gender."""
MEASURES = {
    "adherent": "share of pictures that show the gender asked for",
    "adherence_difference": "the same, corrected less base, on the same noise",
    "mad": "mean distance of the shares of an occupation's pictures from even",
    "mad_difference": "the same, corrected less base: negative is fairer",
    "opened": "share of prompts that the gate has corrected",
    "changed": "share of pictures that are not the base model's, bit for bit",
    "relabelled": "share of the changed pictures in which another gender is seen",
}
"""What is measured at each level, in the order of the table."""


def pair_pictures(pictures: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """Put both models' pictures of one prompt and noise side by side.

    Parameters
    ----------
    pictures : DataFrame
        As `probe.run.image_pairs.draw_both` gives them, of a plan of
        `probe.run.studies.levels.plan.plan_levels`.
    attribute : str
        Column of what is seen.

    Returns
    -------
    DataFrame
        One row a pair in which something was seen on both sides: ``level``, ``asked``,
        ``subject``, ``split``, ``prompt``, ``seed``, ``file_name``, and of each side
        ``seen_SIDE`` and ``key_SIDE``.
    """
    shared = ["level", "asked", "subject", "split", "prompt", "seed", "file_name"]
    pairs = pictures.loc[pictures["side"] == SIDES[0], shared]
    for side in SIDES:
        of = pictures[pictures["side"] == side].set_index("file_name")[[attribute, "key"]]
        of = of.rename(columns={attribute: f"seen_{side}", "key": f"key_{side}"})
        pairs = pairs.join(of, on="file_name")
    return pairs[is_seen(pairs, *(f"seen_{side}" for side in SIDES))].reset_index(drop=True)


def measure_levels(
    pairs: pd.DataFrame,
    *,
    values: Sequence[str],
    words: Mapping[str, str],
    resampling: Resampling = BOOTSTRAP,
) -> pd.DataFrame:
    """Measure what the correction does at each level of specificity.

    Parameters
    ----------
    pairs : DataFrame
        As of `pair_pictures`, with ``is_open``: whether the gate has the prompt corrected.
    values : sequence of str
        All values of the attribute.
    words : mapping of str to str
        Gender asked for -> the value that shows it.
    resampling : Resampling

    Returns
    -------
    DataFrame
        One row a ``level``, ``split`` (of `SPLITS`), ``measure`` (of `MEASURES`) and ``side``
        (empty unless it is one side's): ``value``, its 95 % interval ``low`` and ``high``, ``n``
        (pictures of a side, or prompts), ``floor`` (NaN, but for ``mad`` at the level
        `NONE`) and ``p`` (NaN, but for ``mad_difference``). ``adherent`` is not defined where
        nothing is asked for; ``relabelled`` has no row where nothing has changed. As each
        occupation is asked for in both genders alike, ``mad`` is 0 where all is followed.
    """
    drawing: Found = {"resampling": resampling}
    rows: list[Found] = []
    for level, of_level in pairs.groupby("level", sort=False):
        for split in SPLITS:
            of = of_level if split == "all" else of_level[of_level["split"] == split]
            if len(of):
                found = _measures(of, values, words, drawing)
                rows += [{"level": level, "split": split, "side": "", **row} for row in found]
    columns = ["level", "split", "measure", "side", "value", "low", "high", "n", "floor", "p"]
    return pd.DataFrame(rows, columns=columns)


def _measures(
    of: pd.DataFrame, values: Sequence[str], words: Mapping[str, str], drawing: Mapping[str, Any]
) -> Iterator[Found]:
    """Every measure of the pictures of one level and split."""
    subjects, is_asked = of["subject"], bool((of["asked"] != "").all())
    if is_asked:
        wanted = of["asked"].map(dict(words))
        right = {side: (of[f"seen_{side}"] == wanted).to_numpy() for side in SIDES}
        for side, is_right in right.items():
            found = _share(is_right, subjects)
            yield {"measure": "adherent", "side": side, **found}
        change = right["moesd"].astype(float) - right["base"]
        yield {"measure": "adherence_difference", **_mean(change, subjects, drawing)}
    counts = [_counts(of, side, values) for side in SIDES]
    for side, counted in zip(SIDES, counts, strict=True):
        found = asdict(fairness_figures(counted, **drawing)["mad"])
        found["floor"] = np.nan if is_asked else found["floor"]
        yield {"measure": "mad", "side": side, **found, "n": len(of)}
    difference = asdict(paired_difference(*counts, **drawing))
    yield {"measure": "mad_difference", **difference, "n": len(of)}
    prompts = of.drop_duplicates("prompt")
    opened = _share(prompts["is_open"].to_numpy(bool), prompts["subject"])
    yield {"measure": "opened", **opened}
    is_changed = (of["key_base"] != of["key_moesd"]).to_numpy()
    yield {"measure": "changed", **_share(is_changed, subjects)}
    if is_changed.any():
        changed = of[is_changed]
        is_other = (changed["seen_base"] != changed["seen_moesd"]).to_numpy()
        yield {
            "measure": "relabelled",
            **_share(is_other, changed["subject"]),
        }


def _mean(change: Double, subjects: pd.Series, drawing: Mapping[str, Any]) -> Found:
    """Mean of changes of -1, 0 and 1, its interval over occupations (of one, over pictures).

    Where none differs, the exact bound on the share that might, either way.
    """
    clusters = pd.factorize(subjects)[0] if subjects.nunique() > 1 else None
    found = mean_interval(change, clusters=clusters, bounds=(-1.0, 1.0), **drawing)
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(change)}


def _counts(of: pd.DataFrame, side: str, values: Sequence[str]) -> npt.NDArray[np.integer]:
    seen = of[f"seen_{side}"].tolist()
    return count_labels(of["subject"].tolist(), seen, values=values)[1]


def _share(is_hit: Mask, subjects: pd.Series) -> Found:
    """Give a share of pictures with its interval over occupations; ``n`` counts pictures."""
    found = share_over(subjects, is_hit)
    return {key: found[key] for key in ("value", "low", "high")} | {"n": found["n_images"]}
