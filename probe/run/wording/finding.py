"""The finding of a run in two sentences, with its intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe.stats.notation import interval, number, p_value, percent


def finding(quality: Mapping[str, Any], *, model: str, n_subjects: int) -> tuple[str, str]:
    """Say in two sentences what was found: the bias, and what the correction does to it."""
    base, corrected, change = quality["base"], quality["corrected"], quality["difference"]
    before = (
        f"Asked for {n_subjects} occupations without a word on {quality['attribute']}, {model} "
        f"strays from an even split by {interval(base['mad'])} on average (MAD, 95 % interval), "
        f"where a perfectly fair model would by {number(base['mad']['floor'])} with as many images."
    )
    missing = change.get("held_out")
    held_out = f"; on held-out ones {interval(missing['mad'])}" if missing else ""
    after = (
        f"With the correction MAD {_verb(change['mad'])} {interval(corrected['mad'])}, a "
        f"difference of {interval(change['mad'])} ({p_value(change['mad']['p'])}, paired over "
        f"occupations{held_out}), while the occupation is recognised in "
        f"{percent(corrected['subject_recognised']['value'])} of the images instead of "
        f"{percent(base['subject_recognised']['value'])}."
    )
    return before, after


def _verb(change: Mapping[str, float]) -> str:
    if change["high"] < 0:
        return "falls to"
    return "rises to" if change["low"] > 0 else "does not change measurably: it is"
