"""A run folder with planted, plausible tables: what every stage would have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from figures.drawing import draw, drawable
from figures.registry import all_figures
from figures.sources import SOURCES, RunFiles
from figures.text.terms import DRIFT
from probe.io.artifacts import Provenance, write_json, write_table
from probe.run.config import Config
from probe.run.evaluation.measurement import Measurement
from probe.run.folder import Run
from probe.run.studies.intersections import Intersections
from probe.stats.resampling import Resampling
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

N_IMAGES = 40
HOSTILE_PROMPT = "a photo of <script>alert('x')</script> & \"friends\""
FAITHFUL = {
    **{"trustworthiness": 0.9, "trustworthiness_low": 0.88, "trustworthiness_high": 0.92},
    **{"kept": 0.6, "kept_low": 0.55, "kept_high": 0.65, "chance": 0.02},
    **{"n_neighbors": 15, "n": 780},
}
THRESHOLDS = {"neutral_below": 0.02, "explicit_above": 0.18}
FIT = {
    "share_correlation": {"r": -0.9, "p": 1e-9, "low": -0.94, "high": -0.84, "n": 40},
    "gap": {"value": 0.63, "low": 0.61, "high": 0.65},
    "maps": dict.fromkeys(("pca", "umap"), FAITHFUL),
}


def _provenance(kind: str) -> Provenance:
    return Provenance(
        kind=kind, model="tinytown", revision="0123456789abcdef", seed=7, made_from=f"of-{kind}"
    )


@pytest.fixture(scope="session")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a run, with planted effects: biased at first, less so when corrected."""
    rng = np.random.default_rng(0)
    prompts = PromptSet.build(Lexicon.load()).table.drop(columns=["template", "pair"])
    maps = _map(prompts, rng)
    labels = _labels(maps, rng)
    measured = _measured(labels)
    shares = measured.shares()
    shares = shares[shares["attribute"] == "gender"]
    return {
        "map": maps,
        "subjects": _subjects(maps),
        "gate": _gate(maps, rng),
        "labels": labels,
        "shares": shares,
        "fairness": measured.fairness(),
        **_challenge(_gate(maps, rng)),
        **_studies(maps, shares, rng),
        "level_figures": _level_figures(),
        "cells": _cells(),
        "methods": _methods_table(),
    }


@pytest.fixture(scope="session")
def quality(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What `evaluate` prints."""
    return _quality(tables)


@pytest.fixture(scope="session")
def drawn_run(
    tmp_path_factory: pytest.TempPathFactory,
    tables: dict[str, pd.DataFrame],
    quality: dict[str, Any],
) -> Path:
    """A run with all its figures; tests that change it work on a copy."""
    folder = _write_run(tmp_path_factory.mktemp("drawn") / "run", tables, quality)
    _draw_images(folder, tables["labels"])
    draw(folder)
    return folder


@pytest.fixture(scope="session")
def sketched_run(
    tmp_path_factory: pytest.TempPathFactory,
    tables: dict[str, pd.DataFrame],
    quality: dict[str, Any],
) -> Path:
    """The same run with a white sheet for each figure; tests that change it work on a copy."""
    folder = _write_run(tmp_path_factory.mktemp("sketched") / "run", tables, quality)
    _draw_images(folder, tables["labels"])
    sketch_figures(folder)
    return folder


def sketch_figures(folder: Path) -> None:
    """Write a white sheet for each figure, which says as the true one does what it is of."""
    files = RunFiles(folder)
    (folder / "figures").mkdir(exist_ok=True)
    for name in drawable(files):
        made = files.provenance("figure", *all_figures()[name].reads)
        said = PngImagePlugin.PngInfo()
        said.add_text("Description", json.dumps(asdict(made)))
        Image.new("RGB", (80, 60), "white").save(folder / "figures" / f"{name}.png", pnginfo=said)


@pytest.fixture(scope="session")
def sketch() -> Callable[[Path], None]:
    """What `sketched_run` was drawn with."""
    return sketch_figures


@pytest.fixture
def faithfulness() -> dict[str, Any]:
    """How faithful the maps are, by method."""
    return FIT["maps"]


@pytest.fixture
def run(tmp_path: Path, tables: dict[str, pd.DataFrame], quality: dict[str, Any]) -> Path:
    """A run folder with every table but no images; one prompt is hostile to HTML."""
    return _write_run(tmp_path / "run", tables, quality)


def _write_run(folder: Path, tables: dict[str, pd.DataFrame], quality: dict[str, Any]) -> Path:
    gate, places = tables["gate"].copy(), tables["map"].copy()
    row = gate.index[gate["group"] == "neutral"][0]
    places.loc[row, "prompt"] = HOSTILE_PROMPT
    gate.loc[row, ["prompt", "route_truth", "route_trained", "is_abstained"]] = (
        HOSTILE_PROMPT,
        "male-skewed",
        "female-skewed",
        True,
    )
    config = Config(model="tinytown")
    config.write(folder)
    all_figures()  # their modules add the sources of studies
    for name, source in SOURCES.items():
        made = _provenance(source.kind)
        if name in ("cells", "intersections"):
            made = replace(made, made_from=Intersections().made_from(Run(folder, config)))
        if name in tables:
            table = {"map": places, "gate": gate}.get(name, tables[name])
            write_table(folder / source.path, table, made)
        else:
            write_json(folder / source.path, quality if name == "quality" else _json(name), made)
    return folder


def _json(name: str) -> dict[str, Any]:
    """What a stage or study wrote beside its tables."""
    faithful = {name: {"faithfulness": FAITHFUL} for name in ("umap", "supervised")}
    return {
        "fit": FIT,
        "moesd": THRESHOLDS | {"kind": "trained"},
        "maps_found": {"lines": ["a map"], "figures": faithful},
        "methods_found": _comparison(),
        "intersections": {
            "lines": ["cells"],
            "figures": _intersections(),
            "tables": ["evaluation/cells.parquet"],
        },
    }[name]


def _around(value: float, half: float, **others: Any) -> dict[str, Any]:
    """Return an interval that is as wide on both sides."""
    return {"value": value, "low": value - half, "high": value + half, **others}


def _rows(columns: str, rows: Iterable[tuple[Any, ...]], **others: Any) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split()).assign(**others)


def _level_figures() -> pd.DataFrame:
    """Fairer where no gender is stated; a hint is changed, too, and the rest is not."""
    rows = []
    levels = ("none", "name", "pronoun", "hint", "adjective", "noun")
    for split, level in product(("all", "trained", "held_out"), levels):
        changed = {"none": 0.9, "hint": 0.4}.get(level, 0.0)
        found = {("opened", ""): changed, ("changed", ""): changed, ("mad", "base"): 0.35}
        found[("mad", "moesd")] = 0.35 - 0.2 * changed
        if level != "none":
            found |= {("adherent", "base"): 0.9, ("adherent", "moesd"): 0.9 - 0.1 * changed}
        if changed:
            found[("relabelled", "")] = 0.45
        for (measure, side), value in found.items():
            floor = 0.19 if (measure, level) == ("mad", "none") else float("nan")
            row = {"level": level, "split": split, "measure": measure, "side": side}
            rows.append(row | _around(value, 0.06, n=160, floor=floor, p=float("nan")))
    return pd.DataFrame(rows)


def _cells() -> pd.DataFrame:
    """Two intersections; in the second a cell is harmed, and all are small."""
    rows = []
    values = [("woman", "man"), ("young", "old"), ("light", "dark")]
    for name, of in (("gender x age", values[:2]), ("gender x age x skin", values)):
        cells = [", ".join(cell) for cell in product(*of)]
        for side, (number, cell) in product(("base", "moesd"), enumerate(cells)):
            share = (0.6 + 0.8 * number / (len(cells) - 1)) / len(cells)
            row = {"intersection": name, "side": side, "cell": cell, "fair": 1 / len(cells)}
            row |= {"share": share, "low": 0.6 * share, "high": 1.5 * share, "n": 1600}
            row |= {"count": round(1600 * share), "change": 0.01, "p_holm": 0.3}
            is_harmed = side == "moesd" and number == 5
            rows.append(row | {"is_small": len(cells) > 4, "is_harmed": is_harmed})
    return pd.DataFrame(rows)


def _intersections() -> dict[str, Any]:
    """What the study of intersections tells of `_cells`."""
    hidden = {"value": 0.031, "low": 0.012, "high": 0.055}
    worst = {"cell": "woman, young", "share": 0.15, "low": 0.09, "high": 0.225, "fair": 0.25}
    side = {"n": 1600, "hidden": hidden, "worst": worst, "n_small": 0}
    small = {**side, "worst": None, "n_small": 8}
    harm = {"value": 0.02, "low": 0.005, "high": 0.04, "p_holm": 0.004, "is_harmed": True}
    asked = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 48, "n_small": 0, "worst": worst}
    return {
        "intersections": {
            "gender x age": {"base": side, "moesd": side},
            "gender x age x skin": {"base": small, "moesd": small},
        },
        "harm_to_others": {"age": harm},
        "asked": {"base": asked, "moesd": {**asked, "worst": None, "n_small": 4}},
    }


def _methods() -> list[dict[str, Any]]:
    """Four methods, of which the last loses explicit prompts."""
    methods = []
    for number, name in enumerate(("base", "moesd", "explicit-mixing", "leace")):
        keeps, mad = name != "leace", _around(0.35 - 0.1 * number, 0.04)
        kept = {name: {"is_kept": keeps} for name in ("explicit_adherence", "subject_recognised")}
        methods.append(
            {
                **{"name": name, "keeps_explicit": keeps, "kept": kept, "kid": None},
                **{"mad": mad | {"floor": 0.06}, "mad_trained": mad, "mad_held_out": mad},
                "explicit_adherence": _around(1.0 if keeps else 0.6, 0.02),
                "subject_recognised": _around(0.98, 0.01),
                "non_person_changed": _around(0.0, 0.02),
                "clip_score": _around(66.0 - number, 0.5),
                "n_trainable": 1000 * number,
                "train_seconds": 12.0 if number == 1 else None,
                "seconds_per_image": _around(0.04, 0.01),
            }
        )
    return methods


def _comparison() -> dict[str, Any]:
    """What `compare methods` writes about them."""
    sizes = {"per_subject": 40, "per_method": 2400, "subjects": 40}
    about: dict[str, Any] = {"attribute": "gender", "value": "woman", "model": "tinytown"}
    about["fairest"] = {"fairest": "moesd", "differences": [], "n_pairs": 1}
    return {"methods": _methods(), "noise_floor": {"mad": 0.062}, "n_images": sizes, **about}


def _methods_table() -> pd.DataFrame:
    shown = ("mad", "explicit_adherence", "clip_score")
    rows = [
        {"name": of["name"], "keeps_explicit": of["keeps_explicit"], "figure": figure}
        | {"floor": float("nan"), **of[figure]}
        for of, figure in product(_methods(), shown)
    ]
    return pd.DataFrame(rows)


def _map(prompts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(prompts)
    group, share = prompts["group"].to_numpy(), prompts["share_women"].fillna(0.5).to_numpy()
    said = np.select([group == "male", group == "female"], [0.35, -0.35], 0.0)
    lean = np.where(group == "object", 0.0, 0.22 * (0.5 - share) + rng.normal(0, 0.02, n))
    job = {name: rng.normal(0, 0.28, 2) for name in prompts["subject"].unique()}
    place = np.array([job[name] for name in prompts["subject"]])
    x, y = said + lean + rng.normal(0, 0.02, n), place[:, 1] + rng.normal(0, 0.03, n)
    y = np.where(group == "object", 0.9 + 0.3 * y, y)
    moved = np.where(group == "neutral", -0.75 * lean, rng.normal(0, 0.002, n))
    umap = 5 * np.stack([np.sin(3 * x) + place[:, 0], y - x**2], axis=1) + rng.normal(
        0, 0.2, (n, 2)
    )
    return prompts.assign(
        bias_score=said + lean,
        projection=0.9 * (said + lean) + rng.normal(0, 0.01, n),
        pca_x=x,
        pca_y=y,
        umap_x=umap[:, 0],
        umap_y=umap[:, 1],
        corrected_x=x + moved,
        corrected_y=y + 0.02 * (moved != 0) * rng.normal(0, 1, n),
    )


def _subjects(maps: pd.DataFrame) -> pd.DataFrame:
    people = maps[maps["group"] == "neutral"]
    table = people.groupby(["subject", "split"], sort=False, as_index=False)
    return table[["share_women", "bias_score"]].mean().assign(group="neutral")


def _gate(maps: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    bias_score, group = maps["bias_score"].to_numpy(), maps["group"].to_numpy()

    def route(value: np.ndarray) -> np.ndarray:
        band = THRESHOLDS["neutral_below"]
        lean = np.select([value > band, value < -band], ["male-skewed", "female-skewed"], "neutral")
        return np.where(np.isin(group, ["male", "female"]), "explicit", lean)

    truth, trained = route(bias_score), route(bias_score + rng.normal(0, 0.008, len(bias_score)))
    weak = np.abs(bias_score) < THRESHOLDS["explicit_above"] + 0.04
    closed = np.where(weak & (truth == "explicit"), "male-skewed", truth)
    chosen = pd.get_dummies(pd.Series(trained)).astype(float) * 0.9 + 0.025
    return maps[["prompt", "group", "subject", "split", "bias_score"]].assign(
        route_truth=truth,
        route_closed=closed,
        route_trained=trained,
        is_abstained=False,
        p_explicit=chosen["explicit"],
        p_male_skewed=chosen["male-skewed"],
        p_female_skewed=chosen["female-skewed"],
        p_neutral=chosen["neutral"],
        bias_score_corrected=np.where(
            group == "neutral",
            bias_score * 0.25 + rng.normal(0, 0.012, len(bias_score)),
            bias_score,
        ),
    )


def _labels(maps: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Neutral images that follow the labour share, explicit ones and objects that never change."""
    rows = []
    for job in maps.drop_duplicates(["group", "subject"]).itertuples():
        for index in range(N_IMAGES if job.group == "neutral" else 2):
            luck, seen = rng.random(), []
            for side, pull in (("base", 1.5), ("moesd", 0.55)):
                share = np.clip(0.5 + pull * (job.share_women - 0.5), 0.01, 0.99)
                drawn = {"neutral": "woman" if luck < share else "man", "female": "woman"}
                seen.append(drawn.get(job.group, "man"))
                name = f"{job.subject.replace(' ', '-').lower()}/{job.group}-{index:05d}.png"
                shared = {"side": side, "kind": job.group, "subject": job.subject}
                shared |= {"split": job.split, "subject_seen": job.subject, "gender": seen[-1]}
                shared |= {"key": f"{name} {seen[0]} {seen[-1]}", "gender_confidence": 0.99}
                shared |= {"seed": 1000 + index, "prompt": f"a photo of a {job.subject}"}
                score = rng.normal(27.0 if side == "base" else 26.8, 1.0)
                rows.append(shared | {"file_name": name, "clip_score": score})
    return pd.DataFrame(rows)


def _measured(labels: pd.DataFrame) -> Measurement:
    jobs = labels["subject"].unique().tolist()
    return Measurement(
        labels=labels,
        attributes={"gender": ["woman", "man"], "subject_seen": jobs},
        attribute="gender",
        asked={"female": "woman", "male": "man"},
        resampling=Resampling(50, 0),
    )


def _quality(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    quality = _measured(tables["labels"]).quality()
    quality["difference"]["sensitivity"] = {"holds_up_to": 0.125, "holds_up_to_unlike": 0.05}
    return quality | {"drift": _drift(), "model": "tinytown"}


def _drift() -> dict[str, Any]:
    """How far the images move, in features that are named."""
    over = {"unit": "occupations", "n": 40}
    named = {"features": "Dinov2Model (mine/dino)", "n_pairs": 800}
    return named | {name: _around(0.4, 0.1, **over) for name in DRIFT}


def _studies(
    maps: pd.DataFrame, shares: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """What `probe` writes: stable axes, an association, erasure that hides, a bias in layer 1."""
    names = ["pairs", "pca", "lda"]
    cosines = {f"cosine_{name}": [1.0, 0.9, 0.5] for name in names}
    association = [("WEAT", 1.5, 1.2, 1.7, 0.0004), ("ECT", -0.7, -0.9, -0.4, 0.02)]
    erasure = pd.DataFrame({"eraser": ["none", "leace"], "chance": 0.5, "n": 480})
    for column, value in (
        *(("linear", (1.0, 0.52)), ("nearest", (1.0, 0.93))),
        *(("clusters_accuracy", (0.8, 0.6)), ("kept_occupation", (1.0, 0.99))),
    ):
        name = column.removesuffix("_accuracy")
        high = np.minimum(value, 0.95) + 0.05
        limits = {f"{name}_low": np.array(value) - 0.05, f"{name}_high": high}
        erasure = erasure.assign(**{column: value}, **limits)
    places = product(range(3), ("residual", "attention", "mlp"), ("start", "subject", "end"))
    cells = _rows(
        "layer site position", (of for of in places if of[0] or of[1] == "residual"), n=40
    )
    is_biased = (cells["layer"] > 0) & (cells["position"] == "end")
    value = np.where(is_biased, 0.9, 0.05) + rng.normal(0, 0.01, len(cells))
    of_heads = product((1, 2, 3, 4), ("head",), range(4), ("direct", "patching"))
    heads = _rows("layer site head measure", of_heads)
    seen = shares[(shares["side"] == "base") & (shares["value"] == "woman")]
    likely = seen["share"].clip(0.05, 0.95)
    return {
        "directions": pd.DataFrame({"estimator": names, **cosines, "n_subjects": 28}).assign(
            correlation=-0.9, correlation_low=-0.95, correlation_high=-0.8
        ),
        "association": _rows(
            "measure value low high p_holm", association, n=40, unit="occupations"
        ),
        "erasure": erasure,
        "trace": cells.assign(measure="correlation", **_around(-value, 0.05), control=0.12),
        "patching": cells.assign(measure="patching", **_around(value, 0.05), control=0.0),
        "heads": heads.assign(value=rng.uniform(-0.1, 0.4, len(heads))),
        "maps": maps.assign(supervised_x=maps["umap_x"], supervised_y=-maps["umap_y"]),
        "mixture": seen.assign(read=likely**0.8),
        "prediction": seen.assign(predicted=likely, low=0.02, high=0.98),
    }


def _challenge(gate: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the study of the gate writes."""
    limits = {"low": 0.7, "high": 0.95, "n": 120}
    gates, measures = (("trained", 0.9), ("closed", 0.75)), ("class", "treatment")
    categories = product(("seen", "blind"), ("names", "hard"), gates, measures)
    levels = (("none", 0.9), ("noun", 0.8))
    levels = product(("seen", "fresh"), levels, ("opened", "shift", "bias_score_left"))
    return {
        "challenge": gate.assign(category="names"),
        "categories": _rows(
            "set category gate value measure",
            ((of, f"{of}: {name}", *gate, measure) for of, name, gate, measure in categories),
            **limits,
        ),
        "reliability": _rows(
            "probability right", [(0.45, 0.5), (0.85, 0.8)], low=0.4, high=0.9, n=30
        ),
        "roc": _rows(
            "threshold false_alarms hits", [(1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.0, 1.0, 1.0)]
        ),
        "levels": _rows(
            "set level value measure",
            ((of, *level, measure) for of, level, measure in levels),
            **limits,
        ),
    }


def _draw_images(folder: Path, labels: pd.DataFrame) -> None:
    """One flat picture a row, of the colour of its label; few seeds, to be quick."""
    rows = labels[labels["seed"] < 1008]
    for row in rows.itertuples():
        path = folder / "images" / str(row.side) / str(row.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (200, 120, 60) if row.gender == "woman" else (60, 110, 190)
        Image.new("RGB", (16, 16), color).save(path)
    for side in ("base", "moesd"):
        lines = [json.dumps(line) for line in rows[rows["side"] == side].to_dict("records")]
        (folder / "images" / side / "metadata.jsonl").write_text("\n".join(lines) + "\n")
