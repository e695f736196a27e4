"""Sections of the report that a run may miss: intersections and methods, and how to add them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from figures.sources import RunFiles
from figures.text.comparison import METHOD_COLUMNS, winners
from probe.audit.intersections.cells import MIN_EXPECTED
from probe.errors import ProbeError
from probe.run.compare.measurement import ranked
from probe.run.compare.stage import CompareMethods
from probe.run.config import Config
from probe.run.evaluation.drift import MIN_SUBJECTS
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import SIDES
from probe.run.folder import Run
from probe.run.studies.intersections import Intersections

Found = dict[str, Any]


@dataclass(frozen=True)
class MissingSection:
    """A section that the report does not have yet."""

    title: str
    why: str
    commands: tuple[str, ...]
    """Commands that add it, in order; RUN stands for the folder."""


def intersections(files: RunFiles) -> Found | None:
    """Collect the shares of every combination of attributes; None if the study was not run.

    Returns
    -------
    dict
        ``parts``, one an intersection: its ``name``, ``rows`` of the reported cells, names of the
        ``small`` ones, and by side ``worst`` and ``hidden``; ``harm`` by attribute; ``asked`` by
        side, or None; ``is_current``, whether the study is of the images of this page.
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
    """Collect the comparison of methods, the fairest first; None if they were not compared.

    ``is_current`` is whether it used today's correction, images and evaluators; None if that is
    unknown, because the model or a file of the correction is missing.
    """
    if not files.has("methods", "methods_found"):
        return None
    found = files.json("methods_found")
    return {
        "is_current": _is_current(files),
        "rows": ranked(found["methods"]),
        "columns": METHOD_COLUMNS,
        "floor": found["noise_floor"]["mad"],
        "n_images": found["n_images"],
        "attribute": found["attribute"],
        "winners": winners(found),
    }


def _is_current(files: RunFiles) -> bool | None:
    run = Run(files.run, Config.read(files.run))
    try:
        return all(stage.stale_figures(run) is None for stage in CompareMethods.kept(run))
    except ProbeError:
        return None


def missing_sections(files: RunFiles, quality: Mapping[str, Any]) -> list[MissingSection]:
    """List the sections that the report misses, with the commands that add them."""
    shares = files.table("shares")
    others = set(shares["attribute"]) - {SUBJECT_SEEN, quality["attribute"]}
    evaluate, study = "moesd-probe evaluate RUN", "moesd-probe probe RUN --only intersections"
    found = []
    if "frechet" not in quality["drift"]:
        why = f"images of fewer than {MIN_SUBJECTS} occupations are too few"
        commands = ("moesd-probe embed RUN --lexicon FILE", "moesd-probe run RUN")
        found.append(MissingSection("Drift of the images", why, commands))
    if not files.has("cells", "intersections") and others:
        found.append(
            MissingSection("Intersections of attributes", "the study was not run", (study,))
        )
    elif not files.has("cells", "intersections"):
        why = f"the classifier knows no attribute of people beside {quality['attribute']}"
        commands = (f"{evaluate} --classifier FOLDER_OR_ID", study)
        found.append(MissingSection("Intersections of attributes", why, commands))
    if not files.has("methods", "methods_found"):
        compare = "moesd-probe compare methods RUN"
        found.append(MissingSection("Other methods", "they were not compared", (compare,)))
    return found


def _part(name: str, found: Mapping[str, Any], cells: Any) -> Found:
    """One intersection: base and corrected side by side."""
    base, new = (
        cells[cells["side"] == side].drop_duplicates("cell").set_index("cell", drop=False)
        for side in SIDES
    )
    is_small = base["is_small"] | new["is_small"]
    rows = [
        {
            "cell": cell,
            "sides": [_share(of.loc[cell]) for of in (base, new)],
            "fair": base.loc[cell, "fair"],
            "change": new.loc[cell, "change"],
            "p": new.loc[cell, "p_holm"],
            "is_harmed": bool(new.loc[cell, "is_harmed"]),
        }
        for cell in base.index[~is_small]
    ]
    return {
        "name": name.replace(" x ", " \N{MULTIPLICATION SIGN} "),
        "n": found["base"]["n"],
        "rows": rows,
        "small": list(base.index[is_small]),
        "worst": {
            side: {**worst, "value": worst["share"]} if (worst := found[side]["worst"]) else None
            for side in SIDES
        },
        "hidden": {side: found[side]["hidden"] for side in SIDES},
    }


def _share(row: Any) -> Found:
    return {"value": row["share"], "low": row["low"], "high": row["high"]}
