"""Whether the corrected pictures are comparable to the base model's, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe.experiment.wording.numbers import interval, number, p_value

_NAMES = (("clip_score", "CLIP score", 2), ("subject_recognised", "occupation recognised", 3))


def comparable(quality: Mapping[str, Any]) -> str:
    """Say of each score whether it is equivalent within its margin; empty if not tested."""
    told = []
    for key, name, digits in _NAMES:
        if (found := quality["difference"].get(key)) is not None:
            is_shown = found["p_equivalent"] < 0.05
            told.append(
                f"{name} changes by {interval(found, digits)}, "
                f"{'equivalent' if is_shown else 'not shown to be equivalent'} within "
                f"{number(found['margin'], digits)} ({p_value(found['p_equivalent'])})"
            )
    return f"Comparable quality: {'; '.join(told)}." if told else ""
