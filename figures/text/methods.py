"""The comparison of methods in words: its columns, its table for the terminal, its conclusions."""

from collections.abc import Mapping
from typing import Any

from figures.text.layout import aligned
from probe.run.compare.measurement import LEVEL, ranked
from probe.stats.notation import interval, number, percent
from probe.text.lexicon import SPLIT_NAMES

Found = Mapping[str, Any]

METHOD_COLUMNS = (
    ("mad", "MAD", 3),
    *((f"mad_{split}", name, 3) for split, name in SPLIT_NAMES.items()),
    ("explicit_adherence", "explicit adherence", 3),
    ("subject_recognised", "recognised", 3),
    ("other_attributes", "other attributes, largest change", 3),
    ("non_person_changed", "objects changed", 3),
    ("clip_score", "CLIP score", 1),
    ("clip_like_for_like", "its change, same perceived gender", 2),
    ("clip_of_captions", "its change over captions of all kinds", 2),
    ("kid", "KID, CLIP features", 3),
)
"""Key of a method's figure, heading, decimals."""
_SHORT = {
    "clip_like_for_like": "its change, same gender",
    "clip_of_captions": "all captions",
    "other_attributes": "others changed",
}
WORDS = {"none": "no", "training": "in training", "images": "for the images"}
"""Where a method uses gendered words."""
MARKS = {
    "*": "not shown to keep explicit adherence within 10 points of the base model's",
    "†": "knows which prompts are open, by a list with the test occupations",
    "‡": "oracle: knows which prompts are open, and states the gender in them",
}


def marks(of: Found) -> str:
    """Mark a method whose figures cannot be compared without a remark; see `MARKS`."""
    lost = "" if of["keeps_explicit"] else "*"
    return lost + {"prompts": "†", "words": "‡"}.get(of["oracle"], "")


def method_columns(found: Found) -> tuple[tuple[str, str, int], ...]:
    """`METHOD_COLUMNS`, with the MAD of each other attribute that is corrected too."""
    also = [
        (f"mad_{name}{split}", f"MAD of {name}{title}", 3)
        for name in found.get("also_corrected", ())
        for split, title in (("", ""), ("_test", f", {SPLIT_NAMES['test']}"))
    ]
    n_mad = sum(key.startswith("mad") for key, *_ in METHOD_COLUMNS)
    return (*METHOD_COLUMNS[:n_mad], *also, *METHOD_COLUMNS[n_mad:])


def methods_table(found: Found) -> str:
    """Tabulate methods without and with gendered words, each by MAD, those marked * last."""
    columns = method_columns(found)
    titles = [_SHORT.get(key, title) for key, title, _ in columns]
    rows = [["method", *titles, "gendered words", "weights", "examples", "train s", "s/image"]]
    methods = ranked(found["methods"])
    for of in methods:
        seconds = of["train_seconds"]
        rows.append(
            [
                f"{of['name']} {marks(of)}".strip(),
                *(interval(of.get(key), digits) for key, _, digits in columns),
                WORDS[of["words"]],
                f"{of['n_trainable']:,}",
                f"{of['n_examples']:,}",
                "" if seconds is None else number(seconds, 0),
                number(of["seconds_per_image"]["value"], 2),
            ]
        )
    lines = aligned(rows)
    if n_without := sum(of["words"] == "none" for of in methods):
        lines.insert(1 + n_without, "with gendered words:")
        lines.insert(1, "without gendered words:")
    used = "".join(map(marks, methods))
    lines += [f"{mark} {text}" for mark, text in MARKS.items() if mark in used]
    lines += [noise_floor_line(found), *single_encoders(found), *conclusions(found)]
    return "\n".join(lines)


def noise_floor_line(found: Found) -> str:
    """Say how images are drawn, and what a fair model would score."""
    return (
        f"every method draws the {found['attribute']} of each image independently; noise floor "
        f"{number(found['noise_floor']['mad'])}: MAD of a fair model with "
        f"{found['n_images']['per_subject']} such images an occupation"
    )


def single_encoders(found: Found) -> list[str]:
    """Say how much of the correction is left where it acts through one text encoder alone."""
    fall = {of["name"]: -of["mad"]["value"] for of in found["methods"]}
    fall = {name: value - fall["base"] for name, value in fall.items()}
    return [
        f"{name.removeprefix('moesd-')} alone: {percent(value / fall['moesd'], 0)} of the fall of "
        "MAD through all text encoders"
        for name, value in fall.items()
        if name.startswith("moesd-text_encoder") and fall.get("moesd", 0) > 0
    ]


def conclusions(found: Found) -> list[str]:
    """Name the best baseline, and the methods that are fairer, less fair, or neither."""
    tested = found["best_baseline"]
    if tested["best"] is None:
        return [
            "no baseline is shown to keep explicit adherence and recognition, which takes at least "
            "29 occupations, so none is called the best"
        ]
    groups: dict[str, list[str]] = {
        "fairer than": [],
        "less fair than": [],
        "not distinguished from": [],
    }
    for of in tested["differences"]:
        shown = "fairer than" if of["value"] < 0 else "less fair than"
        group = shown if of["p_holm"] <= LEVEL else "not distinguished from"
        groups[group].append(f"{of['name']} {interval(of)}")
    over = f"difference of MAD on {tested['tested_on']} occupations, p by Holm"
    return [
        f"best baseline: {tested['best']}, with the lowest MAD on {tested['chosen_on']} "
        "occupations of those shown to keep explicit adherence and recognition",
        *(
            f"{group} it ({over} over {len(tested['differences'])}): {', '.join(names)}"
            for group, names in groups.items()
            if names
        ),
    ]
