"""What a run may hold: drift, intersections, methods; and the commands for what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from figures.sources import RunFiles
from figures.text.comparison import METHOD_COLUMNS, winners
from figures.text.terms import DRIFT, KINDS, NOT_LPIPS
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
class Lacking:
    """A section that the page could have."""

    title: str
    why: str
    commands: tuple[str, ...]
    """What makes it, one after the other; RUN stands for the folder."""


def drift(quality: Mapping[str, Any]) -> Found | None:
    """Tell how far the neutral pictures move, and in whose features; None if it is not known."""
    found = quality["drift"]
    if "frechet" not in found:
        return None
    return {
        "features": found["features"],
        "n_pairs": found["n_pairs"],
        "rows": [(*text, found[key]) for key, text in DRIFT.items()],
        "perceptual": _perceptual(found.get("perceptual")),
    }


def _perceptual(found: Mapping[str, Any] | None) -> Found | None:
    """Distances of pairs by kind of prompt, and by subject, the farthest first."""
    if not found or not found["kinds"]:
        return None
    return {
        "about": NOT_LPIPS,
        "kinds": [(KINDS[kind], of) for kind, of in found["kinds"].items()],
        "subjects": sorted(found["subjects"], key=lambda of: -of["value"]),
    }


def intersections(files: RunFiles) -> Found | None:
    """Tell the shares of every cell in which attributes meet; None if the study was not done.

    Returns
    -------
    dict
        ``parts``, one an intersection: its ``name``, ``rows`` of the cells of which something is
        claimed, names of the ``small`` ones, and by side ``worst`` and ``hidden``; ``harm`` by
        attribute; ``asked`` by side, or None; ``is_current``, whether the study is of the very
        pictures that the page is about.
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
    """Tell how the methods compare, the fairest first; None if they were not compared.

    ``is_current`` says whether they are of the correction, the pictures and the judges of today;
    None if that cannot be told, because the model, or a file of the correction, is not here.
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


def lacking(files: RunFiles, quality: Mapping[str, Any]) -> list[Lacking]:
    """Name the sections that this run has not, and the command that makes each."""
    shares = files.table("shares")
    others = set(shares["attribute"]) - {SUBJECT_SEEN, quality["attribute"]}
    evaluate, study = "moesd-probe evaluate RUN", "moesd-probe probe RUN --only intersections"
    found = []
    if drift(quality) is None:
        why = f"images of fewer than {MIN_SUBJECTS} occupations give no figure"
        commands = ("moesd-probe embed RUN --lexicon FILE", "moesd-probe run RUN")
        found.append(Lacking("How far the images move", why, commands))
    if not files.has("cells", "intersections") and others:
        found.append(Lacking("Attributes taken together", "the study was not done", (study,)))
    elif not files.has("cells", "intersections"):
        why = f"the classifier knows no attribute of people beside {quality['attribute']}"
        commands = (f"{evaluate} --classifier FOLDER_OR_ID", study)
        found.append(Lacking("Attributes taken together", why, commands))
    if not files.has("methods", "methods_found"):
        compare = "moesd-probe compare methods RUN"
        found.append(Lacking("Other methods", "they were not compared", (compare,)))
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
