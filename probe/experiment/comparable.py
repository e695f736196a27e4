"""Whether the corrected pictures are as good as the base model's: tests of equivalence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from probe.experiment.judges import SUBJECT_SEEN
from probe.experiment.measuring import Measurement
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
        ``clip_score`` and ``subject_recognised``, each with ``value``, ``low``, ``high``,
        ``p_equivalent``, ``margin`` and ``n_subjects``; empty if there is a single subject.
    """
    from probe.images.quality import mean_interval

    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    scores = neutral.assign(is_recognised=neutral[SUBJECT_SEEN] == neutral["subject"])
    means = scores.groupby(["side", "subject"])[["clip_score", "is_recognised"]].mean()
    change = (means.loc["moesd"] - means.loc["base"]).astype(np.float64)
    if len(change) < 2:
        return {}
    found = {}
    for name, column, margin in (
        ("clip_score", "clip_score", clip_margin),
        ("subject_recognised", "is_recognised", recognition_margin),
    ):
        rows = change[column].to_numpy()
        drawn = mean_interval(rows, n_bootstrap=measured.n_bootstrap, seed=measured.seed)
        found[name] = {
            **asdict(drawn),
            "p_equivalent": equivalence_p(rows, margin),
            "margin": margin,
            "n_subjects": len(rows),
        }
    return found
