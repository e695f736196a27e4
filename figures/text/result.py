"""The result of an evaluation on a few lines: what changed, the price, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from figures.text.layout import aligned
from probe.run.evaluation.measurement import SIDES
from probe.stats.notation import number, percent
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from pandas import DataFrame

Found = Mapping[str, Any]

WARNING = "(!)"
"""Marks what became worse beyond chance."""
ONE_SIDED = 7 / 8
"""Share of images that show one value, from which an occupation counts as (nearly) one-sided."""
_N_NAMED = 4
_GROUPS = SPLIT_NAMES | {"validation": "for validation"}
UNSEEN = "test"
"""Split of the subjects that no training has seen."""


def result_table(quality: Found, shares: DataFrame) -> str:
    """Write the figures that matter, before and after the correction, in about ten lines.

    Parameters
    ----------
    quality : mapping
        As ``evaluate --json`` prints it.
    shares : DataFrame
        ``evaluation/shares.parquet``: a row a side, subject, attribute and value.
    """
    sides, change = [quality[name] for name in SIDES.values()], quality["difference"]
    n, attribute = sides[0]["mad"]["n"], quality["attribute"]
    model, n_images = PurePath(quality["model"]).name, quality["n_images"]["per_subject"]
    head = f"{model}, {n} occupations x {n_images} images"
    rows = [[head, "before", "after", "chance", "change [95 %, over occupations]"]]
    for split in ("all", *_GROUPS):
        if split != "all" and split not in sides[0]:
            continue
        before, after, difference = (
            of["mad"] if split == "all" else of[split]["mad"] for of in (*sides, change)
        )
        name = f"  {before['n']} occupations {_GROUPS.get(split)}"
        name = "distance from even, all (points)" if split == "all" else name
        rows.append(_distance_row(name, before, after, difference))
    for other, of in quality.get("also_corrected", {}).items():
        figures = (of[key] for key in (*SIDES.values(), "difference"))
        rows.append(_distance_row(f"distance from even, {other} (points)", *figures))
    counts = one_sided(shares[shares["attribute"] == attribute])
    one = [str(counts.get(side, 0)) for side in SIDES]
    rows.append([f"occupations drawn as (nearly) one {attribute}", *one, "", ""])
    width = len(rows[0][-1])
    lines = [line.rstrip() for line in aligned([[*row[:-1], row[-1].ljust(width)] for row in rows])]
    parts = {"NO FACE": no_face(quality)} if quality.get("missing") else {}
    parts |= {"PRICE": price(quality), "UNTOUCHED": [untouched(quality)]}
    n_warnings = sum(line.count(WARNING) for part in parts.values() for line in part)
    parts["VERDICT"] = verdict(quality, n_warnings)
    for title, part in parts.items():
        titles = [title] + [""] * (len(part) - 1)
        lines += [f"{start:<11}{line}" for start, line in zip(titles, part, strict=True) if line]
    return "\n".join(lines)


def _distance_row(name: str, before: Found, after: Found, difference: Found) -> list[str]:
    shown = [_points(value) for value in (before["value"], after["value"], before["floor"])]
    limits = ", ".join(_points(difference[key]) for key in ("low", "high"))
    return [name, *shown, f"{_points(difference['value'])} [{limits}]"]


def one_sided(shares: DataFrame) -> dict[str, int]:
    """Count, by side, the subjects of whose images at least `ONE_SIDED` show one value."""
    largest = shares.groupby(["side", "subject"])["share"].max()
    counts: dict[str, int] = (largest >= ONE_SIDED).groupby("side").sum().to_dict()
    return counts


def no_face(quality: Found) -> list[str]:
    """Count the images that have no label for want of one face, and bound what they may change."""
    missing, counts = quality["missing"], []
    for side in SIDES.values():
        n = missing[side]["undetected"] + missing[side]["ambiguous"]
        counts.append(f"{n:,} of {missing[side]['n_images']:,}")
    low, high = (_points(missing["difference"]["bounds"]["mad"][key]) for key in ("low", "high"))
    return [
        f"images before {counts[0]}, after {counts[1]}, left out above; whatever they show, "
        f"the change is {low} to {high}"
    ]


def price(quality: Found) -> list[str]:
    """List what the correction costs, a line each; what is worse beyond chance has a `WARNING`."""
    before, after, change = (quality[name] for name in (*SIDES.values(), "difference"))
    seen = [of["subject_recognised"]["value"] for of in (before, after)]
    is_lost = change["subject_recognised"]["high"] < 0
    scores = [f"occupation recognised {_from_to(*seen)}{_mark(is_lost)}"]
    if (clip := change.get("clip_score")) is not None:
        like = change.get("clip_score_like_for_like")
        same = f" (images of the same {quality['attribute']} {number(like['value'], 1)})"
        scores.append(f"CLIP score {number(clip['value'], 1)}{same if like else ''}")
    lines = ["   ".join(scores)]
    if (moved := quality["failures"].get("moved_away")) is not None:
        names = [of["subject"] for of in moved["subjects"]]
        named = f": {', '.join(names[:_N_NAMED])}" if names else ""
        more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
        is_sure = any(of["p_holm"] <= 0.05 for of in moved["subjects"])
        n = f"{len(names)} of {moved['n']}"
        lines.append(f"occupations moved away from even {n}{named}{more}{_mark(is_sure)}")
    others = quality.get("other_attributes") or {}
    lines += [
        f"perceived {of['shown']} {_from_to(of['before'], of['after'])}{_mark(True)}"
        for of in others.get("changes", ())
        if not of["within"] and of["p_holm"] <= 0.05
    ]
    return lines


def verdict(quality: Found, n_warnings: int = 0) -> list[str]:
    """Say whether the correction made the model fairer, and how far from even it may still be."""
    after, change = quality["corrected"], quality["difference"]
    is_seen = UNSEEN not in after
    effects = [_effect(of["mad"]) for of in (change, change.get(UNSEEN, change))]
    also = "too" if effects[0] == effects[1] else effects[1].lower()
    text = effects[0] + ("." if is_seen else f", on occupations never seen {also}.")
    if n_warnings:
        text += f" {n_warnings} side effect{'s' if n_warnings > 1 else ''} beyond chance {WARNING}."
    mad, there = (after["mad"], "") if is_seen else (after[UNSEEN]["mad"], " there")
    return [text, f"What is left{there} {beyond_chance(mad)}."]


def beyond_chance(mad: Found, digits: int = 1) -> str:
    """Say how far from even beyond chance the 95 % interval of a mean distance allows."""
    low, high = (number(100 * (mad[key] - mad["floor"]), digits) for key in ("low", "high"))
    if mad["high"] <= mad["floor"]:
        return "is no more than chance"
    if mad["low"] <= mad["floor"]:
        return f"may be chance, but up to {high} points beyond chance cannot be excluded"
    return f"is {low} to {high} points beyond chance"


def _effect(change: Found) -> str:
    if change["high"] < 0:
        return "Fairer"
    return "Less fair" if change["low"] > 0 else "No change beyond chance"


def untouched(quality: Found) -> str:
    """Count the images that must not change and did not."""
    names = {"explicit_changed": "explicit prompts", "non_person_changed": "objects"}
    texts = []
    for key, name in names.items():
        of = quality["failures"].get(key)
        if of and of["n_images"]:
            n_same = round((1 - of["value"]) * of["n_images"])
            is_changed = n_same < of["n_images"]
            texts.append(f"{name} {n_same:,} of {of['n_images']:,}{_mark(is_changed)}")
    return "   ".join(texts)


def _points(value: float) -> str:
    return number(100 * value, 1)


def _from_to(before: float, after: float) -> str:
    return f"{number(100 * before, 0)} \N{RIGHTWARDS ARROW} {percent(after, 0)}"


def _mark(is_worse: bool) -> str:
    return f" {WARNING}" if is_worse else ""
