"""Whether the corrected pictures are as good as the base model's: tests of equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.audit.missing_label_bounds import is_seen
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import Measurement
from probe.stats.equivalence import equivalence_p
from probe.stats.resampling import Resampling

Found = dict[str, Any]

CAPTIONS = {"neutral": 4_828, "explicit": 6_931, "object": 18_241}
"""Captions of COCO that name people and no gender, that name one, and that name nobody.

Of the 30,000 that Gandikota et al., *Unified Concept Editing in Diffusion Models* (2024), publish,
as ``moesd-probe prompts`` reads them. The paper measures quality on captions of COCO.
"""


def comparable_quality(
    measured: Measurement, *, clip_margin: float, recognition_margin: float
) -> Found:
    """Compare both sides' neutral pictures by what they show of their prompts.

    Differences are of the means of each subject, corrected minus base. Two sides are called
    equivalent only where Schuirmann's test shows it, never because no difference was found.

    Returns
    -------
    dict
        ``clip_score``, ``clip_score_like_for_like`` (see `like_for_like`),
        ``clip_score_of_captions`` (see `over_captions`) and ``subject_recognised``, each with
        ``value``, ``low``, ``high``, ``p_equivalent``, ``margin``, ``unit`` and ``n``; empty if
        there is a single subject.
    """
    from probe.stats.mean import mean_interval

    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    scores = neutral.assign(is_recognised=neutral[SUBJECT_SEEN] == neutral["subject"])
    means = scores.groupby(["side", "subject"])[["clip_score", "is_recognised"]].mean()
    change = (means.loc["moesd"] - means.loc["base"]).astype(np.float64)
    if len(change) < 2:
        return {}
    drawing: Found = {"resampling": measured.resampling}

    def tested(
        rows: npt.NDArray[np.float64], margin: float, bounds: tuple[float, float] | None = None
    ) -> Found:
        return {
            **asdict(mean_interval(rows, bounds=bounds, unit="occupations", **drawing)),
            "p_equivalent": equivalence_p(rows, margin, bounds=bounds),
            "margin": margin,
        }

    found = {
        "clip_score": tested(change["clip_score"].to_numpy(), clip_margin),
        "subject_recognised": tested(
            change["is_recognised"].to_numpy(), recognition_margin, (-1.0, 1.0)
        ),
    }
    sides = [measured.labels[measured.labels["side"] == side] for side in ("base", "moesd")]
    if like := like_for_like(
        *(of[of["kind"] == "neutral"] for of in sides),
        attribute=measured.attribute,
        margin=clip_margin,
        **drawing,
    ):
        found["clip_score_like_for_like"] = like
    if mixed := over_captions(*sides, explicit=list(measured.asked), margin=clip_margin, **drawing):
        found["clip_score_of_captions"] = mixed
    return found


def over_captions(
    base: pd.DataFrame,
    other: pd.DataFrame,
    *,
    explicit: Sequence[str],
    resampling: Resampling,
    margin: float | None = None,
) -> Found | None:
    """Change of the CLIP score over captions of all kinds, in the numbers of `CAPTIONS`.

    The changes of each occupation, neutral and explicit, are weighted and added; what the objects
    change is independent of them, and its uncertainty is added in squares.

    Parameters
    ----------
    base, other : DataFrame
        One row a picture, with columns ``kind``, ``subject`` and ``clip_score``.
    explicit : sequence of str
        Kinds that name a gender.
    resampling : Resampling
    margin : float, optional
        For the test of equivalence.

    Returns
    -------
    dict or None
        ``value``, ``low``, ``high``, ``unit``, ``n``, ``n_objects`` and ``kinds``, the share of
        each; with a margin ``p_equivalent`` and ``margin``. None if fewer than two occupations or
        objects have pictures of all kinds on both sides.
    """
    from probe.stats.interval import joined_limits
    from probe.stats.mean import mean_interval

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
    """Change of the CLIP score among neutral pictures that show the same value of an attribute.

    Returns
    -------
    dict or None
        ``value``, ``low``, ``high``, ``unit``, ``n``, ``seen`` (the mean weight of the values that
        both sides show, 0 to 1) and ``composition`` (the rest of the change, with its interval);
        with a margin ``p_equivalent`` and ``margin``. None if fewer than two subjects show a value
        on both sides. See `probe.images.quality.composition.decompose_change`.
    """
    from probe.images.quality.composition import decompose_change
    from probe.stats.mean import mean_interval

    before, after = (
        table[is_seen(table, attribute)].rename(columns={"clip_score": "score"})
        for table in (base, other)
    )
    change = decompose_change(before, after, group=attribute)
    if len(change.subjects) < 2:
        return None
    like, rest = (
        asdict(mean_interval(rows, resampling=resampling, unit="occupations"))
        for rows in (change.like_for_like, change.composition)
    )
    found = {
        **like,
        "seen": float(change.seen.mean()),
        "composition": rest,
    }
    if margin is not None:
        found |= {"p_equivalent": equivalence_p(change.like_for_like, margin), "margin": margin}
    return found
