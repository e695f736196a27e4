"""Whether the corrected pictures are as good as the base model's: tests of equivalence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.experiment.judges import SUBJECT_SEEN
from probe.experiment.measuring import Measurement
from probe.experiment.unseen import is_seen
from probe.images.audit.equivalence import equivalence_p

Found = dict[str, Any]


def comparable_quality(
    measured: Measurement, *, clip_margin: float, recognition_margin: float
) -> Found:
    """Compare both sides' neutral pictures by what they show of their prompts.

    Differences are of the means of each subject, corrected minus base. That two sides are alike
    is said only where Schuirmann's test shows it, never because no difference was found.

    Returns
    -------
    dict
        ``clip_score``, ``clip_score_like_for_like`` (see `like_for_like`) and
        ``subject_recognised``, each with ``value``, ``low``, ``high``, ``p_equivalent``, ``margin``
        and ``n_subjects``; empty if there is a single subject.
    """
    from probe.images.quality import mean_interval

    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    scores = neutral.assign(is_recognised=neutral[SUBJECT_SEEN] == neutral["subject"])
    means = scores.groupby(["side", "subject"])[["clip_score", "is_recognised"]].mean()
    change = (means.loc["moesd"] - means.loc["base"]).astype(np.float64)
    if len(change) < 2:
        return {}

    def tested(rows: npt.NDArray[np.float64], margin: float) -> Found:
        drawn = mean_interval(rows, n_bootstrap=measured.n_bootstrap, seed=measured.seed)
        return {
            **asdict(drawn),
            "p_equivalent": equivalence_p(rows, margin),
            "margin": margin,
            "n_subjects": len(rows),
        }

    found = {
        "clip_score": tested(change["clip_score"].to_numpy(), clip_margin),
        "subject_recognised": tested(change["is_recognised"].to_numpy(), recognition_margin),
    }
    base, moesd = (neutral[neutral["side"] == side] for side in ("base", "moesd"))
    if like := like_for_like(
        base,
        moesd,
        attribute=measured.attribute,
        n_bootstrap=measured.n_bootstrap,
        seed=measured.seed,
        margin=clip_margin,
    ):
        found["clip_score_like_for_like"] = like
    return found


def like_for_like(
    base: pd.DataFrame,
    other: pd.DataFrame,
    *,
    attribute: str,
    n_bootstrap: int,
    seed: int,
    margin: float | None = None,
) -> Found | None:
    """Change of the CLIP score among neutral pictures that show the same value of an attribute.

    Returns
    -------
    dict or None
        ``value``, ``low``, ``high``, ``n_subjects``, ``seen`` (the mean weight of the values that
        both sides show, 0 to 1) and ``composition`` (the rest of the change, with its interval);
        with a margin ``p_equivalent`` and ``margin``. None if fewer than two subjects show a value
        on both sides. See `probe.images.quality.composition.decompose_change`.
    """
    from probe.images.intervals import mean_interval
    from probe.images.quality.composition import decompose_change

    before, after = (
        table[is_seen(table, attribute)].rename(columns={"clip_score": "score"})
        for table in (base, other)
    )
    change = decompose_change(before, after, group=attribute)
    if len(change.subjects) < 2:
        return None
    like, rest = (
        asdict(mean_interval(rows, n_bootstrap=n_bootstrap, seed=seed))
        for rows in (change.like_for_like, change.composition)
    )
    found = {
        **like,
        "n_subjects": len(change.subjects),
        "seen": float(change.seen.mean()),
        "composition": rest,
    }
    if margin is not None:
        found |= {"p_equivalent": equivalence_p(change.like_for_like, margin), "margin": margin}
    return found
