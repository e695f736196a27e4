"""Values of the report's templates, collected from a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from figures.drawing import drawable
from figures.gate import GATES, ROUTES
from figures.registry import OTHER, all_figures
from figures.report.data import page_data
from figures.report.optional import intersections, methods, missing_sections
from figures.report.pictures import drawn_picture, image_pairs
from figures.report.shares import subject_shares
from figures.sources import SOURCES, RunFiles
from figures.text.evaluation import failure_rows, split_blocks
from figures.text.limits import limits
from figures.text.sentences import classifier_error, equivalence, finding, missing_faces
from figures.text.terms import DRIFT, EFFECTS, measures_of, versions
from probe.io.artifacts import hash_file, read_provenance
from probe.stats.proportion import binomial_interval

if TYPE_CHECKING:
    from pandas import DataFrame

N_MISTAKES = 10
"""Prompts in the table of the gate's errors."""
NAVIGATION = {
    "bias": "Bias in the text encoder",
    "deeper": "Studies",
    "gate": "The gate",
    "shift": "The shift",
    "pictures": "Images",
    "fairness": "Fairness",
    "effects": "Side effects",
    "drift": "Drift of the images",
    "intersections": "Intersections of attributes",
    "methods": "Other methods",
    "made": "Provenance",
    "missing": "Sections that are missing",
    "limits": "What cannot be concluded",
}
"""Sections of the page in order; those without content are left out."""
N_IMAGES = {
    "base": "Images of neutral prompts, base",
    "corrected": "Images of neutral prompts, corrected",
    "per_subject": "Images an occupation",
}


def content(files: RunFiles, *, n_pairs: int) -> dict[str, Any]:
    """Collect the values of the templates; raises as `figures.report.render_report`."""
    figures = all_figures()  # their modules add the sources of studies
    present = [name for name, source in SOURCES.items() if not source.is_optional]
    present += [name for name in SOURCES if name not in present and files.has(name)]
    files.require(*present)
    quality, fit = files.json("quality"), files.json("fit")
    gate, fairness = files.table("gate"), files.table("fairness")
    config = files.json("moesd")
    route = ROUTES[config["kind"]]
    made = read_provenance(files.path("quality"))
    shares = files.table("shares")
    values = shares.loc[shares["attribute"] == quality["attribute"], "value"]
    n_subjects = int(fairness.loc[fairness["split"] == "all", "n_subjects"].max())
    names = drawable(files)
    pictures = {name: drawn_picture(files, name) for name in names}
    pairs = image_pairs(files, n_pairs=n_pairs)
    places = {key: [n for n in names if figures[n].section == key] for key in NAVIGATION}
    optional = {
        "intersections": intersections(files),
        "methods": methods(files),
        "missing_sections": missing_sections(files, quality),
    }
    is_there = optional | {
        "deeper": places[OTHER],
        "drift": "frechet" in quality["drift"],
        "missing": optional["missing_sections"],
    }
    return {
        **optional,
        "navigation": {key: title for key, title in NAVIGATION.items() if is_there.get(key, True)},
        "run": files.run.resolve().name,
        "made": made,
        "is_tinytown": made.model == "tinytown",
        "finding": finding(quality, model=made.model, n_subjects=n_subjects),
        "quality": quality,
        "classifier_error": classifier_error(quality),
        "equivalence": equivalence(quality),
        "missing": missing_faces(quality),
        "effects": EFFECTS,
        "drift_measures": DRIFT,
        "fit": fit,
        "measures": measures_of(values.nunique()),
        "splits": split_blocks(quality, fairness),
        "failures": failure_rows(quality),
        "n_images": [
            (text, quality["n_images"][key])
            for key, text in N_IMAGES.items()
            if key in quality["n_images"]
        ],
        "gates": _gates(gate),
        "config": config,
        "mistakes": _mistakes(gate, route),
        "n_mistakes": int((gate["route_truth"] != gate[route]).sum()),
        "n_prompts": len(gate),
        "subject_shares": subject_shares(files),
        "pictures": pictures,
        "places": places,
        "pairs": pairs,
        "data": page_data(files, pairs=pairs),
        "files": [
            (
                source.path,
                source.stage,
                read_provenance(files.path(name)),
                hash_file(files.path(name)),
            )
            for name, source in SOURCES.items()
            if name in present
        ],
        "versions": versions(),
        "limits": limits(made.model, quality["attribute"], list(dict.fromkeys(values))),
    }


def _gates(gate: DataFrame) -> list[dict[str, Any]]:
    """Share of prompts that each gate routes correctly, with its interval."""
    right = {title: gate["route_truth"] == gate[column] for column, title in GATES.items()}
    return [
        {"title": title, **asdict(binomial_interval(int(rows.sum()), len(rows)))}
        for title, rows in right.items()
    ]


def _mistakes(gate: DataFrame, route: str) -> list[dict[str, Any]]:
    """List the prompts of largest bias score among those that the gate in use misclassifies."""
    wrong = gate[gate["route_truth"] != gate[route]]
    order = wrong["bias_score"].abs().sort_values(ascending=False, kind="stable").index[:N_MISTAKES]
    rows = wrong.loc[order, ["prompt", "bias_score", "route_truth", route]]
    return [dict(row) for row in rows.rename(columns={route: "answer"}).to_dict("records")]
