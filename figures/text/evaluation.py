"""What `evaluate` measured on a run, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from figures.text.sentences import classifier_error, equivalence, missing_faces
from figures.text.tables import aligned
from figures.text.terms import DRIFT, EFFECTS, FAILURES, SPLITS
from probe.run.evaluation.drift import MIN_SUBJECTS
from probe.run.evaluation.measurement import SIDES
from probe.stats.notation import interval, number, over, p_value

if TYPE_CHECKING:
    from pandas import DataFrame

Found = Mapping[str, Any]


def evaluation_table(quality: Found) -> str:
    """Write fairness, side effects, failures and drift, each with its unit and n."""
    sides = [quality[name] for name in SIDES.values()]
    rows = [["95 % intervals", *SIDES.values(), "noise floor", "over"]]
    for split, title in SPLITS:
        if split == "all" or split in sides[0]:
            found = [(side if split == "all" else side[split])["mad"] for side in sides]
            name = "MAD" if split == "all" else f"MAD, {title.lower()}"
            rows.append([name, *map(interval, found), number(found[0]["floor"]), sizes(found[0])])
    for key, title in EFFECTS.items():
        found = [side[key] for side in sides]
        rows.append([title, *map(interval, found), "", sizes(found[0])])
    change = quality["difference"]["mad"]
    lines = aligned(rows, n_left=5)
    lines.append(f"difference of MAD: {interval(change)}, {p_value(change['p'])}")
    sentences = missing_faces(quality), classifier_error(quality), equivalence(quality)
    lines += filter(None, sentences)
    rows = [["failures of the correction, 0 is best", "rate", "over"]]
    rows += [[f"{name}: {text}", rate(of), sizes(of)] for name, text, of in failure_rows(quality)]
    return "\n".join([*lines, *aligned(rows, n_left=3), *_drift(quality["drift"])])


def rate(found: Found) -> str:
    """Write the rate of a failure, or that nothing could fail."""
    return "nothing to count" if found.get("n") == 0 else interval(found)


def failure_rows(quality: Found) -> list[tuple[str, str, Found]]:
    """Name, meaning and rate of every failure that was measured."""
    failures = quality["failures"]
    return [(*text, failures[key]) for key, text in FAILURES.items() if key in failures]


def split_blocks(quality: Found, fairness: DataFrame) -> list[dict[str, Any]]:
    """List the fairness of both sides and their paired difference of MAD, by split.

    A lexicon without held-out occupations has one split, all.
    """
    sides = quality["base"], quality["corrected"], quality["difference"]
    blocks = []
    for key, title in SPLITS:
        if key != "all" and key not in quality["base"]:
            continue
        base, corrected, change = sides if key == "all" else (side[key] for side in sides)
        known = [side.get("calibrated", {}) for side in sides]
        known = known if key == "all" else [of.get(key, {}) for of in known]
        rows = fairness[fairness["split"] == key]
        blocks.append(
            {
                "key": key,
                "title": title,
                "n_subjects": int(rows["n_subjects"].max()),
                "base": base,
                "corrected": corrected,
                "difference": change["mad"],
                "calibrated": [of["mad"] for of in known] if all(known) else None,
            }
        )
    return blocks


def sizes(found: Found) -> str:
    """Write what an interval is over, e.g. ``40 occupations, 640 images``."""
    if "n_trained" in found:  # overfitting compares two groups
        return f"{found['n_trained']} and {found['n_held_out']} {found['unit']}"
    counted = {"n_images": "images", "n_pairs": "pairs"}
    units = [f"{found[key]:,} {name}" for key, name in counted.items() if key in found]
    return ", ".join(filter(None, [over(found), *units]))


def _drift(found: Found) -> list[str]:
    head = f"drift from base to corrected (not quality), features {found['features']}"
    if "frechet" not in found:
        head = f"drift: not measured on fewer than {MIN_SUBJECTS} occupations"
    rows = [
        [f"  {name.lower()}", interval(found[key]), sizes(found[key])]
        for key, (name, _) in DRIFT.items()
        if key in found
    ]
    return [head, *aligned(rows, n_left=3)]
