"""Values of the report's templates and scripts, collected from a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from figures.drawing import drawable
from figures.gate import ROUTES
from figures.registry import OTHER, all_figures
from figures.report.encoder import gate_summary, score_rows, user_prompt_rows
from figures.report.opening import dots, examples, lanes
from figures.report.optional import intersections, methods, missing_sections
from figures.report.pictures import drawn_figure, image_pairs
from figures.sources import SOURCES, RunFiles
from figures.text.sentences import finding, limits
from figures.text.tables import attribute_rows, evaluation_parts, split_blocks
from figures.text.terms import DRIFT, SPLITS, measures_of, versions
from probe.io.artifacts import hash_file, read_provenance
from probe.run.files import SIDES
from probe.text.checkpoints import SHIPPED

if TYPE_CHECKING:
    from pandas import DataFrame

NAVIGATION = {
    "pictures": "Images",
    "fairness": "Shares by occupation",
    "effects": "Price",
    "drift": "Drift of the images",
    "intersections": "Intersections of attributes",
    "methods": "Other methods",
    "limits": "What cannot be concluded",
    "bias": "Where the bias sits",
    "own": "Your prompts",
    "deeper": "Studies",
    "gate": "The gate",
    "made": "How it was made",
    "missing": "Sections that are missing",
    "files": "Files",
}
"""Sections of the page in order; those without content are left out."""
N_PROMPTS = 4000
"""Prompts on the page; of more, as many, evenly spaced in the order of the run."""
DIGITS = 5
"""Decimals of a number on the page; bias scores are of order one or ten."""


def content(files: RunFiles, *, n_pairs: int) -> dict[str, Any]:
    """Collect the values of the templates; raises as `figures.report.render_report`."""
    figures = all_figures()  # their modules add the sources of studies
    present = [name for name, source in SOURCES.items() if not source.is_optional]
    present += [name for name in SOURCES if name not in present and files.has(name)]
    files.require(*present)
    quality, config = files.json("quality"), files.json("moesd")
    router = config.get("router", {}).get("kind", "top1")
    gate, fairness, shares, labels = map(files.table, ("gate", "fairness", "shares", "labels"))
    route = ROUTES[config["kind"]]
    made = read_provenance(files.path("quality"))
    shares = shares[shares["attribute"] == quality["attribute"]]
    values = list(dict.fromkeys(shares["value"]))
    prompt = str(labels.loc[labels["kind"] == "neutral", "prompt"].iloc[0])
    names = [name for name in drawable(files) if figures[name].section]
    places: dict[str, list[str]] = {key: [] for key in NAVIGATION}
    for name in names:
        places[figures[name].section].append(name)
    pictures = {name: drawn_figure(files, name) for name in names}
    pairs, by_subject = image_pairs(files, n_pairs=n_pairs), subject_shares(files)
    scores = score_rows(gate)
    optional = {
        "intersections": intersections(files),
        "methods": methods(files),
        "own": user_prompt_rows(files, scores["band"]),
        "missing_sections": missing_sections(files, quality),
    }
    is_there = optional | {
        "deeper": places[OTHER],
        "drift": "frechet" in quality["drift"],
        "missing": optional["missing_sections"],
    }
    return {
        **optional,
        **evaluation_parts(quality),
        "navigation": {key: title for key, title in NAVIGATION.items() if is_there.get(key, True)},
        "run": files.run.resolve().name,
        "made": made,
        "is_laboratory": made.model in SHIPPED,
        "finding": finding(quality, shares, model=made.model, prompt=prompt),
        "dots": dots(by_subject, target=1 / len(values)),
        "examples": examples(files),
        "lanes": lanes(gate, route),
        "router": router,
        "is_drawn": router not in ("top1", "calibrated"),
        "quality": quality,
        "drift_measures": DRIFT,
        "fit": files.json("fit"),
        "measures": measures_of(len(values)),
        "values": values,
        "others": [value for value in values if value != quality["value"]],
        "groups": dict(SPLITS),
        "splits": split_blocks(quality, fairness),
        "changes": attribute_rows(quality),
        "config": config,
        "gate": gate_summary(gate, route),
        "scores": scores,
        "subject_shares": by_subject,
        "pictures": pictures,
        "places": places,
        "pairs": pairs,
        "data": page_data(files, scores, pairs=pairs),
        "files": [
            (SOURCES[name], read_provenance(files.path(name)), hash_file(files.path(name)))
            for name in present
        ],
        "versions": versions(),
        "limits": limits(made.model, quality["attribute"], values),
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


def page_data(
    files: RunFiles, scores: Mapping[str, Any], *, pairs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Collect what the search and the images show."""
    gate, route = files.table("gate"), ROUTES[files.json("moesd")["kind"]]
    prompts = gate.drop_duplicates("prompt").rename(columns={route: "route"})
    names = ["prompt", "group", "subject", "split", "bias_score", "bias_score_corrected"]
    return {
        "n_prompts": len(prompts),
        "prompts": _columns(_thinned(prompts[[*names, "route", "is_abstained"]])),
        "groups": dict(SPLITS),
        "scores": scores,
        "pairs": pairs,
        "run": files.run.resolve().name,
    }


def safe_json(data: Any) -> Markup:
    """Write JSON that no HTML parser takes for an end of the script that holds it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _thinned(table: DataFrame) -> DataFrame:
    n = min(N_PROMPTS, len(table))
    return table.iloc[np.linspace(0, len(table) - 1, n).round().astype(int)]


def _columns(table: DataFrame) -> dict[str, list[Any]]:
    """Columns of values that JSON knows: rounded numbers, text, and None for what is missing."""
    plain = table.round(DIGITS).astype(object)
    return {str(name): column.tolist() for name, column in plain.where(table.notna(), None).items()}
