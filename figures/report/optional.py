"""Sections of the report that a run may miss: intersections and methods, and how to add them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from figures.methods import PANELS
from figures.sources import RunFiles
from figures.text.methods import MARKS, WORDS, conclusions, marks, method_columns, noise_floor_line
from probe.audit.intersections.cells import MIN_EXPECTED
from probe.errors import ProbeError
from probe.run.compare.measurement import ranked
from probe.run.compare.stage import CompareMethods
from probe.run.config import Config
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import SIDES
from probe.run.evaluation.side_effects import MIN_SUBJECTS
from probe.run.folder import Run
from probe.run.studies.intersections import Intersections

if TYPE_CHECKING:
    from pandas import DataFrame

Found = dict[str, Any]


def intersections(files: RunFiles) -> Found | None:
    """Collect the shares of every combination of attributes; None if the study was not run.

    ``is_current`` is whether the study is of the images of this page.
    """
    if not files.has("cells", "intersections"):
        return None
    figures, cells = files.json("intersections")["figures"], files.table("cells")
    run = Run(files.run, Config.read(files.run))
    return {
        "parts": [
            _part(name, figures["intersections"][name], cells[cells["intersection"] == name])
            for name in dict.fromkeys(cells["intersection"])
        ],
        "harm": figures["harm_to_others"],
        "asked": figures["asked"],
        "min_expected": MIN_EXPECTED,
        "sides": SIDES,
        "is_current": Intersections().stale(run) is None,
    }


def methods(files: RunFiles) -> Found | None:
    """Collect the comparison of methods, as ranked; None if they were not compared.

    ``is_current`` is whether it used today's correction, images and evaluators; None if that is
    unknown, because the model or a file of the correction is missing.
    """
    if not files.has("methods", "methods_found"):
        return None
    found = files.json("methods_found")
    return {
        "is_current": _is_current(files),
        "rows": [
            {**of, "marks": marks(of), "words": WORDS[of["words"]]}
            for of in ranked(found["methods"])
        ],
        "marks": MARKS,
        "columns": method_columns(found),
        "main": tuple(PANELS),
        "floor": noise_floor_line(found),
        "n_images": found["n_images"],
        "attribute": found["attribute"],
        "conclusions": conclusions(found),
    }


def _is_current(files: RunFiles) -> bool | None:
    run = Run(files.run, Config.read(files.run))
    try:
        return all(stage.stale_figures(run) is None for stage in CompareMethods.kept(run))
    except ProbeError:
        return None


def missing_sections(files: RunFiles, quality: Mapping[str, Any]) -> list[Found]:
    """List the sections that the report misses: title, reason, and commands that add them."""
    others = set(files.table("shares")["attribute"]) - {SUBJECT_SEEN, quality["attribute"]}
    study = "moesd-probe study RUN intersections"
    found = []
    if "frechet" not in quality["drift"]:
        why = f"images of fewer than {MIN_SUBJECTS} occupations are too few"
        commands = ["moesd-probe embed RUN --lexicon FILE", "moesd-probe run RUN"]
        found.append({"title": "Drift of the images", "why": why, "commands": commands})
    if not files.has("cells", "intersections"):
        why, commands = "the study was not run", [study]
        if not others:
            why = f"the classifier knows no attribute of people beside {quality['attribute']}"
            commands = ["moesd-probe evaluate RUN --classifier FOLDER_OR_ID", study]
        found.append({"title": "Intersections of attributes", "why": why, "commands": commands})
    if not files.has("methods", "methods_found"):
        why, commands = "they were not compared", ["moesd-probe compare methods RUN"]
        found.append({"title": "Other methods", "why": why, "commands": commands})
    return found


def _part(name: str, found: Mapping[str, Any], cells: DataFrame) -> Found:
    """One intersection: base and corrected side by side."""
    cells = cells.rename(columns={"share": "value"})
    base, new = (
        cells[cells["side"] == side].drop_duplicates("cell").set_index("cell") for side in SIDES
    )
    is_small = base["is_small"] | new["is_small"]
    sides = [of[["value", "low", "high"]].to_dict("index") for of in (base, new)]
    rows = [
        row | {"cell": cell, "sides": [of[cell] for of in sides]}
        for cell, row in new[~is_small].to_dict("index").items()
    ]
    return {
        "name": name.replace(" x ", " \N{MULTIPLICATION SIGN} "),
        "n": found["base"]["n"],
        "reach": float(cells["high"].max()),
        "rows": rows,
        "small": list(base.index[is_small]),
        "worst": {
            side: {**worst, "value": worst["share"]} if (worst := found[side]["worst"]) else None
            for side in SIDES
        },
        "hidden": {side: found[side]["hidden"] for side in SIDES},
    }
