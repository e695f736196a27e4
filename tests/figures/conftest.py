"""A run folder with planted, plausible tables: what every stage would have written."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
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
from probe.run.evaluation.other_attributes import other_attributes
from probe.run.evaluation.side_effects import comparable_quality
from probe.run.folder import Run
from probe.run.studies.intersections import Intersections
from probe.stats.resampling import Resampling
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

PLANTED = Path(__file__).parent / "planted"
"""Tables and JSON files of the studies and of `compare methods`, by their short names."""
N_IMAGES = 40
HOSTILE_PROMPT = "a photo of <script>alert('x')</script> & \"friends\""
THRESHOLDS = {"neutral_below": 0.02, "explicit_above": 0.18}


def _planted(name: str) -> Any:
    return json.loads((PLANTED / f"{name}.json").read_text())


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
    seen = shares[(shares["side"] == "base") & (shares["value"] == "woman")]
    likely = seen["share"].clip(0.05, 0.95)
    gate = _gate(maps, rng)
    studies = {
        path.stem: pd.read_csv(path, keep_default_na=False, na_values=["nan"])
        for path in PLANTED.glob("*.csv")
    }
    return studies | {
        "map": maps,
        "user_prompts": pd.DataFrame(
            {
                "prompt": ["a photo of a <b>welder</b>", "a $5 cup", "a dancer on a stage"],
                "topic": ["work", "thing", "<art>"],
                "bias_score": [0.31, 0.01, -0.24],
                "projection": [0.33, 0.0, -0.25],
            }
        ),
        "subjects": _subjects(maps),
        "gate": gate,
        "labels": labels,
        "shares": shares,
        "fairness": measured.fairness(),
        "challenge": gate.assign(category="names"),
        "maps": maps.assign(supervised_x=maps["umap_x"], supervised_y=-maps["umap_y"]),
        "mixture": seen.assign(read=likely**0.8, value="female"),
        "prediction": seen.assign(predicted=likely, low=0.02, high=0.98),
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
    return dict(_planted("fit")["maps"])


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
        of = f"of-{source.kind}"
        made = Provenance(source.kind, "tinytown", "0123456789abcdef", seed=7, made_from=of)
        if name in ("cells", "intersections"):
            made = replace(made, made_from=Intersections().made_from(Run(folder, config)))
        if name in tables:
            table = {"map": places, "gate": gate}.get(name, tables[name])
            write_table(folder / source.path, table, made)
        else:
            moesd = THRESHOLDS | {"kind": "trained", "recipe": "paper with n_experts = 2"}
            planted = {"quality": quality, "moesd": moesd}
            write_json(folder / source.path, planted.get(name) or _planted(name), made)
    return folder


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
    """What `evaluate` prints."""
    quality = _measured(tables["labels"]).quality()
    measured = _measured(tables["labels"])
    quality["difference"] |= comparable_quality(measured, clip_margin=1.0, recognition_margin=0.05)
    quality["difference"]["sensitivity"] = {"holds_up_to": 0.125, "holds_up_to_unlike": 0.05}
    drift = {"value": 0.4, "low": 0.3, "high": 0.5, "unit": "occupations", "n": 40}
    named = {"features": "Dinov2Model (mine/dino)", "n_pairs": 800}
    labels = tables["labels"].assign(age="young")
    labels.loc[labels["side"].eq("base") & labels["seed"].mod(2).eq(0), "age"] = "<old>"
    measured = _measured(labels)
    others = replace(measured, attributes={**measured.attributes, "age": ["young", "<old>"]})
    quality["other_attributes"] = other_attributes(others)
    return quality | {"drift": named | dict.fromkeys(DRIFT, drift), "model": "tinytown"}


def _draw_images(folder: Path, labels: pd.DataFrame) -> None:
    """One flat picture a row, of the colour of its label; few seeds, to be quick."""
    rows = labels[labels["seed"] < 1024]
    for row in rows.itertuples():
        path = folder / "images" / str(row.side) / str(row.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (200, 120, 60) if row.gender == "woman" else (60, 110, 190)
        Image.new("RGB", (16, 16), color).save(path)
    for side in ("base", "moesd"):
        lines = [json.dumps(line) for line in rows[rows["side"] == side].to_dict("records")]
        (folder / "images" / side / "metadata.jsonl").write_text("\n".join(lines) + "\n")
