"""Comparisons of methods and of runs, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from figures.text.tables import aligned
from probe.run.compare.measurement import ranked
from probe.run.compare.methods import ORACLE
from probe.run.evaluation.measurement import SIDES
from probe.stats.notation import interval, number, p_value

Found = Mapping[str, Any]

METHOD_COLUMNS = (
    ("mad", "MAD", 3),
    ("mad_trained", "training", 3),
    ("mad_held_out", "held out", 3),
    ("explicit_adherence", "explicit adherence", 3),
    ("subject_recognised", "recognised", 3),
    ("non_person_changed", "objects changed", 3),
    ("clip_score", "CLIP score", 1),
    ("clip_like_for_like", "its change, same perceived gender", 2),
    ("clip_of_captions", "its change over captions of all kinds", 2),
    ("kid", "KID, CLIP features", 3),
)
"""Key of a method's figure, heading, decimals."""
_SHORT = {"clip_like_for_like": "its change, same gender", "clip_of_captions": "all captions"}


def methods_table(found: Found) -> str:
    """One row a method, by MAD; those not shown to keep explicit adherence are marked and last."""
    methods = ranked(found["methods"])
    titles = [_SHORT.get(key, title) for key, title, _ in METHOD_COLUMNS]
    rows = [["method", *titles, "weights", "train s", "s/image"]]
    for of in methods:
        seconds = of["train_seconds"]
        rows.append(
            [
                of["name"] + ("" if of["keeps_explicit"] else " *"),
                *(interval(of.get(key), digits) for key, _, digits in METHOD_COLUMNS),
                f"{of['n_trainable']:,}",
                "" if seconds is None else number(seconds, 0),
                number(of["seconds_per_image"]["value"], 2),
            ]
        )
    n_images = found["n_images"]["per_subject"]
    lines = aligned(rows)
    lines.append(
        f"noise floor {number(found['noise_floor']['mad'])}: MAD of a fair model with {n_images} "
        "images an occupation"
    )
    if any(not of["keeps_explicit"] for of in methods):
        lines.append("* not shown to keep explicit adherence within 10 points of the base model's")
    return "\n".join([*lines, *winners(found)])


def winners(found: Found) -> list[str]:
    """Name the fairest method, those less fair, and those that cannot be distinguished from it."""
    tested = found["fairest"]
    aside = f"(base and the oracle, {ORACLE}, aside)"
    if tested["fairest"] is None:
        return [
            "no method is shown to keep explicit adherence and recognition, so none is called the "
            f"fairest {aside}"
        ]
    less, same = (
        [of["name"] for of in tested["differences"] if of["is_less_fair"] is is_less]
        for is_less in (True, False)
    )
    texts = [
        f"lowest MAD of the methods shown to keep explicit adherence and recognition: "
        f"{tested['fairest']} {aside}"
    ]
    if same:
        texts.append(f"cannot be distinguished from it by MAD: {', '.join(same)}")
    if less:
        texts.append(
            f"less fair, p <= 0.05 adjusted for {tested['n_pairs']} pairs: {', '.join(less)}"
        )
    return texts


def runs_table(found: Found) -> str:
    """MAD of every run, every difference, and the subjects that could not be compared."""
    table = [["run", "side", "MAD", "subjects"]]
    for of in found["runs"]:
        for side in SIDES.values():
            table.append([of["name"], side, interval(of[side]["all"]), str(found["n_subjects"])])
    changes = [["second minus first", "side", "over", "difference of MAD", "p", "p by Holm"]]
    for of in found["differences"]:
        name, split = f"{of['second']} - {of['first']}", of["split"].replace("_", " ")
        changes.append(
            [name, of["side"], split, interval(of), p_value(of["p"]), p_value(of["p_holm"])]
        )
    missing = [
        f"left out, because {name} does not have them: {', '.join(subjects)}"
        for name, subjects in found["missing"].items()
        if subjects
    ]
    return "\n".join([*aligned(table), "", *aligned(changes), *missing])
