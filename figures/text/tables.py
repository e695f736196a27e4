"""Tables for the terminal, and the rows that report and model card share with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from figures.text.layout import aligned
from figures.text.sentences import (
    classifier_error,
    classifiers,
    equivalence,
    missing_faces,
    other_effects,
)
from figures.text.terms import DRIFT, EFFECTS, FAILURES, SPLITS, plural
from probe.run.evaluation.measurement import SIDES
from probe.run.evaluation.side_effects import MIN_SUBJECTS
from probe.stats.notation import Scale, counted, interval, number, over, p_value, percent
from probe.text.lexicon import SPLIT_NAMES

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
        rows.append([title, *(score(of, key) for of in found), "", sizes(found[0])])
    change = quality["difference"]["mad"]
    lines = aligned(rows, n_left=5)
    lines.append(f"difference of MAD: {interval(change)}, {p_value(change['p'])}")
    sentences = (of(quality) for of in (missing_faces, classifiers, classifier_error, equivalence))
    lines += filter(None, sentences)
    if changes := attribute_rows(quality):
        head = ["share of other attributes", *SIDES.values(), "points", "p by Holm", "over"]
        shown = [cells for cells, row in changes if not row["within"] or row["p_holm"] <= 0.05]
        lines += aligned([head, *shown])
    lines += filter(None, [other_effects(quality)])
    rows = [["failures of the correction, 0 is best", "rate", "over"]]
    rows += [[f"{name}: {text}", rate(of), sizes(of)] for name, text, of in failure_rows(quality)]
    return "\n".join([*lines, *aligned(rows, n_left=3), *_drift(quality["drift"])])


def score(found: Found, key: str) -> str:
    """Write one of `EFFECTS`: the CLIP score as it is, shares of images in percent."""
    return interval(found, 2) if key == "clip_score" else interval(found, scale="%")


def rate(found: Found) -> str:
    """Write a failure: its rate in percent, or points of MAD, or that nothing could fail."""
    scale: Scale = "%" if "n" in found else "points"
    return "nothing to count" if found.get("n") == 0 else interval(found, 1, scale)


def evaluation_parts(quality: Found) -> dict[str, Any]:
    """Sentences and rows of an evaluation that report and model card share."""
    return {
        "missing": missing_faces(quality),
        "classifiers": classifiers(quality),
        "classifier_error": classifier_error(quality),
        "equivalence": equivalence(quality),
        "other_effects": other_effects(quality),
        "attributes": [cells for cells, _ in attribute_rows(quality)],
        "failures": failure_rows(quality),
        "effects": EFFECTS,
    }


def attribute_rows(quality: Found) -> list[tuple[list[str], Found]]:
    """Write the change of every share of the other attributes, each beside its figures."""
    rows = []
    for of in (quality.get("other_attributes") or {}).get("changes", ()):
        among = f", among {plural(of['within'])}" if of["within"] else ""
        cells = [f"{of['attribute']}: {of['shown']}{among}", percent(of["before"])]
        cells += [percent(of["after"]), interval(of, 1, "points"), p_value(of["p_holm"]), sizes(of)]
        rows.append((cells, of))
    return rows


def failure_rows(quality: Found) -> list[tuple[str, str, Found]]:
    """Name, meaning and rate of every failure that was measured."""
    failures = quality["failures"]
    return [(*text, failures[key]) for key, text in FAILURES.items() if key in failures]


def split_blocks(quality: Found, fairness: DataFrame) -> list[dict[str, Any]]:
    """List the fairness of both sides and their paired difference of MAD, by split.

    Those without images are left out.
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
    if "n_train" in found:  # overfitting compares two groups
        return f"{found['n_train']} and {found['n_others']} {found['unit']}"
    more = {"n_images": "images", "n_pairs": "pairs"}
    units = [counted(found[key], name) for key, name in more.items() if key in found]
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


def runs_table(found: Found) -> str:
    """MAD of every run, every difference, and the subjects that could not be compared."""
    table = [["run", "side", "MAD", "subjects"]]
    for of in found["runs"]:
        for side in SIDES.values():
            table.append([of["name"], side, interval(of[side]["all"]), str(found["n_subjects"])])
    changes = [["second minus first", "side", "over", "difference of MAD", "p", "p by Holm"]]
    for of in found["differences"]:
        which = [f"{of['second']} \N{MINUS SIGN} {of['first']}", of["side"]]
        which.append(SPLIT_NAMES.get(of["split"], of["split"]))
        changes.append([*which, interval(of), p_value(of["p"]), p_value(of["p_holm"])])
    missing = [
        f"left out, because {name} does not have them: {', '.join(subjects)}"
        for name, subjects in found["missing"].items()
        if subjects
    ]
    return "\n".join([*aligned(table), "", *aligned(changes), *missing])
