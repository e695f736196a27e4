"""Values of the report's templates and scripts, collected from a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from figures.drawing import drawable
from figures.gate import GATES, ROUTES
from figures.registry import OTHER, all_figures
from figures.report.optional import intersections, methods, missing_sections
from figures.report.pictures import drawn_figure, image_pairs
from figures.sources import SOURCES, RunFiles
from figures.style import GROUP_COLORS, OKABE_ITO
from figures.text.sentences import finding, limits
from figures.text.tables import evaluation_parts, split_blocks
from figures.text.terms import DRIFT, measures_of, versions
from probe.io.artifacts import hash_file, read_provenance
from probe.run.files import SIDES
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
PLACES = ("pca_x", "pca_y", "umap_x", "umap_y", "corrected_x", "corrected_y")
"""A prompt's places on the maps."""
N_PROMPTS = 4000
"""Prompts on the page; of more, as many, evenly spaced in the order of the run."""
DIGITS = 5
"""Decimals of a number on the page; coordinates and bias scores are of order one or ten."""
SYMBOLS = {
    "female": "triangle-up",
    "male": "triangle-down",
    "neutral": "circle",
    "object": "square",
}
"""Plotly's name for the marker of a group."""


def content(files: RunFiles, *, n_pairs: int) -> dict[str, Any]:
    """Collect the values of the templates; raises as `figures.report.render_report`."""
    figures = all_figures()  # their modules add the sources of studies
    present = [name for name, source in SOURCES.items() if not source.is_optional]
    present += [name for name in SOURCES if name not in present and files.has(name)]
    files.require(*present)
    quality, fit = files.json("quality"), files.json("fit")
    gate, fairness, shares = (files.table(name) for name in ("gate", "fairness", "shares"))
    config = files.json("moesd")
    made = read_provenance(files.path("quality"))
    values = shares.loc[shares["attribute"] == quality["attribute"], "value"]
    splits = split_blocks(quality, fairness)
    names = drawable(files)
    shown = {name: drawn_figure(files, name) for name in names}
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
        **_gates(gate, ROUTES[config["kind"]]),
        "navigation": {key: title for key, title in NAVIGATION.items() if is_there.get(key, True)},
        "run": files.run.resolve().name,
        "made": made,
        "is_tinytown": made.model == "tinytown",
        "finding": finding(quality, model=made.model, n_subjects=splits[0]["n_subjects"]),
        "quality": quality,
        **evaluation_parts(quality),
        "drift_measures": DRIFT,
        "fit": fit,
        "measures": measures_of(values.nunique()),
        "splits": splits,
        "config": config,
        "subject_shares": subject_shares(files),
        "pictures": shown,
        "places": places,
        "pairs": pairs,
        "data": page_data(files, pairs=pairs),
        "files": [
            (SOURCES[name], read_provenance(files.path(name)), hash_file(files.path(name)))
            for name in present
        ],
        "versions": versions(),
        "limits": limits(made.model, quality["attribute"], list(dict.fromkeys(values))),
    }


def subject_shares(files: RunFiles) -> list[dict[str, Any]]:
    """List occupations by labour share, with the share of the value in both sides' images.

    Each has ``subject``, ``split``, ``labour`` (NaN where it is unknown), ``base`` and ``moesd``
    with ``value, low, high, n``, and their ``change``.
    """
    quality, shares = files.json("quality"), files.table("shares")
    chosen = (shares["attribute"] == quality["attribute"]) & (shares["value"] == quality["value"])
    labour = files.table("subjects").set_index("subject")["share_women"]
    shares = shares[chosen].drop(columns="value").rename(columns={"share": "value"})
    shares = shares.assign(labour=shares["subject"].map(labour))
    shares = shares.sort_values(["labour", "subject"]).set_index("side")
    rows = []
    for subject, own in shares.groupby("subject", sort=False):
        sides = own[["value", "low", "high", "n"]].to_dict("index")
        if len(sides) == len(SIDES):  # a side may show no face of a subject
            known = {"split": own["split"].iloc[0], "labour": own["labour"].iloc[0]}
            change = share_change(sides["base"], sides["moesd"])
            rows.append({"subject": subject, **known, **sides, "change": change})
    return rows


def share_change(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the change of a share, ``value`` of ``n`` images, with Newcombe's interval.

    It treats the two samples as independent. Images from equal noise are not, which makes the
    interval conservative where they agree.

    References
    ----------
    Newcombe, *Interval estimation for the difference between independent proportions*,
    Statistics in Medicine 17 (1998), method 10.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    counts = (item for of in (after, before) for item in (round(of["value"] * of["n"]), of["n"]))
    low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    return {"value": after["value"] - before["value"], "low": float(low), "high": float(high)}


def page_data(files: RunFiles, *, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Collect what the map, the gate explorer, the trace and the images show."""
    prompts = prompt_table(files)
    config = files.json("moesd")
    return {
        "n_prompts": len(prompts),
        "prompts": _columns(_thinned(prompts)),
        "gate": {
            "neutral_below": config["neutral_below"],
            "explicit_above": config["explicit_above"],
            "route": ROUTES[config["kind"]],
        },
        "trace": _trace(files),
        "pairs": pairs,
        "style": {
            "colors": GROUP_COLORS,
            "symbols": SYMBOLS,
            "share": [[0, OKABE_ITO["blue"]], [0.5, "#B9C4CB"], [1, OKABE_ITO["vermillion"]]],
        },
    }


def prompt_table(files: RunFiles) -> DataFrame:
    """Join a prompt's place on the maps with what the gate says of it, one row a prompt."""
    places = files.table("map")
    places = places[["prompt", "group", "subject", "split", "share_women", *PLACES]]
    answers = files.table("gate").drop_duplicates("prompt")
    keys = ["prompt", "bias_score", "bias_score_corrected", "is_abstained"]
    keys += ["route_truth", "route_closed", "route_trained"]
    return places.merge(answers[keys], on="prompt", how="left", validate="many_to_one")


def safe_json(data: Any) -> Markup:
    """Write JSON that no HTML parser takes for an end of the script that holds it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _gates(gate: DataFrame, route: str) -> dict[str, Any]:
    """Share of prompts that each gate routes correctly, and errors of the one that is used."""
    right = [gate["route_truth"] == gate[column] for column in GATES]
    wrong = gate[gate["route_truth"] != gate[route]]
    order = wrong["bias_score"].abs().sort_values(ascending=False, kind="stable").index[:N_MISTAKES]
    rows = wrong.loc[order, ["prompt", "bias_score", "route_truth", route]]
    return {
        "gates": [asdict(binomial_interval(int(rows.sum()), len(rows))) for rows in right],
        "mistakes": rows.rename(columns={route: "answer"}).to_dict("records"),
        "n_mistakes": len(wrong),
        "n_prompts": len(gate),
    }


def _thinned(table: DataFrame) -> DataFrame:
    n = min(N_PROMPTS, len(table))
    return table.iloc[np.linspace(0, len(table) - 1, n).round().astype(int)]


def _trace(files: RunFiles) -> dict[str, list[Any]] | None:
    if not files.has("trace"):
        return None
    names = ["layer", "site", "position", "measure", "value", "low", "high", "n"]
    return _columns(files.table("trace")[names])


def _columns(table: DataFrame) -> dict[str, list[Any]]:
    """Columns of values that JSON knows: rounded numbers, text, and None for what is missing."""
    plain = table.round(DIGITS).astype(object)
    return {str(name): column.tolist() for name, column in plain.where(table.notna(), None).items()}
