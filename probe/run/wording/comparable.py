"""Whether the corrected pictures are comparable to the base model's, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe.stats.notation import interval, number, p_value

_NAMES = (("clip_score", "CLIP score", 2), ("subject_recognised", "occupation recognised", 3))


def comparable(quality: Mapping[str, Any]) -> str:
    """Say of each score whether it is equivalent within its margin; empty if not tested."""
    change = quality["difference"]
    told = [
        f"{name} changes by {_judged(change[key], digits)}"
        for key, name, digits in _NAMES
        if change.get(key) is not None
    ]
    if not told:
        return ""
    sentences = [f"Comparable quality: {'; '.join(told)}."]
    if (like := change.get("clip_score_like_for_like")) is not None:
        sentences.append(
            f"Among pictures that show the same {quality['attribute']} the CLIP score changes by "
            f"{_judged(like, 2)}; the rest, {interval(like['composition'], 2)}, comes of whom the "
            f"pictures show and not of how well ({like['n']} occupations)."
        )
    if (mixed := change.get("clip_score_of_captions")) is not None:
        kinds = mixed["kinds"]
        sentences.append(
            f"Over captions of all kinds, as many of each as in COCO ({kinds['neutral']:.0%} name "
            f"people and no gender, {kinds['explicit']:.0%} a gender, {kinds['object']:.0%} "
            f"nobody), it changes by {_judged(mixed, 2)}."
        )
    return " ".join(sentences)


def _judged(found: Mapping[str, Any], digits: int) -> str:
    is_shown = found["p_equivalent"] < 0.05
    return (
        f"{interval(found, digits)}, "
        f"{'equivalent' if is_shown else 'not shown to be equivalent'} within "
        f"{number(found['margin'], digits)} ({p_value(found['p_equivalent'])})"
    )
