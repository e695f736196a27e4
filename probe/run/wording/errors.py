"""What the classifier's errors do to the finding of a run, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe.stats.notation import interval, number, percent


def classifier_error(quality: Mapping[str, Any]) -> str:
    """Say what is left without the errors, or how large they may be; empty if neither is known."""
    base, corrected, change = (quality[name] for name in ("base", "corrected", "difference"))
    if (known := quality.get("calibration")) is not None:
        before, after, moved = (side["calibrated"]["mad"] for side in (base, corrected, change))
        return (
            f"Without the classifier's errors ({known['n']} labelled images): MAD "
            f"{interval(before)} before and {interval(after)} after, noise floor "
            f"{number(before['floor'])}; difference {interval(moved)}."
            + _by_split(base, corrected, change)
        )
    if (found := change.get("sensitivity")) is None:
        return ""
    if (alike := found["holds_up_to"]) is None:
        return "The difference of MAD is within chance, even if the classifier never errs."
    falls = "falls" if change["mad"]["value"] < 0 else "rises"
    unlike = percent(found["holds_up_to_unlike"])
    return (
        f"That MAD {falls} holds for a classifier that errs up to {percent(alike)} either way, "
        f"alike on both sides, or up to {unlike} with errors of its own on each."
    )


def _by_split(*sides: Mapping[str, Any]) -> str:
    """The same of the occupations trained on and of those held out, where it is known."""
    told = []
    for split, name in (("trained", "trained on"), ("held_out", "held out")):
        if split in sides[0]["calibrated"]:
            found = [side["calibrated"][split]["mad"] for side in sides]
            before, after, moved = map(interval, found)
            told.append(f"{name} {before} before and {after} after, difference {moved}")
    return f" Occupations {'; '.join(told)}." if told else ""
