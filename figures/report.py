"""A run folder as one self-contained HTML page: what was found, shown and cannot be concluded."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.paper import FIGURES, drawable
from figures.recipes import GATES, ROUTES
from figures.sources import SOURCES, RunFiles
from probe.artifacts import atomic, hash_file, read_provenance
from probe.errors import ArtifactError, StageError

if TYPE_CHECKING:
    from pandas import DataFrame

N_MISTAKES = 10
"""Prompts in the table of what the gate gets wrong."""
PACKAGES = ("moesd-probe", "torch", "diffusers", "transformers", "numpy", "scikit-learn")
"""Packages whose version a result may depend on."""
MEASURES = {
    "mad": ("MAD", "mean distance of the shares from even"),
    "fd": ("FD", "Euclidean distance of the shares from even"),
    "delta": ("Δ", "distance relative to the even share"),
    "gap": ("gap", "mean difference between two shares"),
    "kl": ("KL", "relative entropy to the even shares, in nats"),
}
SPLITS = (("all", "All"), ("trained", "Trained on"), ("held_out", "Held out"))
FAILURES = {
    "gate_missed": ("Gate misses", "occupations that lean, yet are left as they were"),
    "overcorrected": ("Overcorrection", "occupations whose lean changes sides"),
    "explicit_changed": ("Interference", "images of prompts that say a gender, yet change"),
    "non_person_changed": ("Interference", "images of things without people, yet change"),
    "overfit": ("Overfitting", "how much more MAD falls on occupations trained on, in MAD"),
}
N_IMAGES = {
    "base": "Images of neutral prompts, base",
    "corrected": "Images of neutral prompts, corrected",
    "per_subject": "Images an occupation",
}


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    source: str
    """A ``data:`` address with the whole image."""
    width: int
    """Width at which it is to be read, in CSS pixels."""
    height: int
    caption: str
    alt: str


def write_report(run: Path) -> Path:
    """Write ``run/report.html``, which needs no other file and no network.

    Returns
    -------
    Path
        The page. The same run and package versions give the same bytes.

    Raises
    ------
    StageError
        If a stage before has not been run, or the figures are older than the results.
    ArtifactError
        If a file cannot be read or written, or belongs to another model.
    """
    path = Path(run) / "report.html"
    page = render_report(run)
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render_report(run: Path) -> str:
    """Compose the page as text; see `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("figures", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "interval": interval,
        "percent_interval": percent_interval,
        "p_value": p_value,
    }
    return environment.get_template("report.html.j2").render(_content(RunFiles(Path(run))))


def number(value: float, digits: int = 3) -> str:
    """Write a number with a true minus sign; a zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def percent(value: float, digits: int = 1) -> str:
    """Write a share as a percentage."""
    return f"{number(100 * value, digits)}\N{NO-BREAK SPACE}%"


def interval(figure: Mapping[str, float], digits: int = 3) -> str:
    """Write ``value [low, high]``."""
    value, low, high = (number(figure[key], digits) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def percent_interval(figure: Mapping[str, float], digits: int = 1) -> str:
    """Write ``value % [low, high]``."""
    low, high = (number(100 * figure[key], digits) for key in ("low", "high"))
    return f"{percent(figure['value'], digits)} [{low}, {high}]"


def p_value(value: float) -> str:
    """Write a p-value as journals do."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def finding(quality: Mapping[str, Any], *, model: str, n_subjects: int) -> tuple[str, str]:
    """Say in two sentences what was found: the bias, and what the correction does to it."""
    base, corrected, change = quality["base"], quality["corrected"], quality["difference"]
    before = (
        f"Asked for {n_subjects} occupations without a word on {quality['attribute']}, {model} "
        f"strays from an even split by {interval(base['mad'])} on average (MAD, 95 % interval), "
        f"where a perfectly fair model would by {number(base['mad']['floor'])} with as many images."
    )
    unseen = change.get("held_out")
    held_out = f"; on held-out ones {interval(unseen['mad'])}" if unseen else ""
    after = (
        f"With the correction MAD {_verb(change['mad'])} {interval(corrected['mad'])}, a "
        f"difference of {interval(change['mad'])} ({p_value(change['mad']['p'])}, paired over "
        f"occupations{held_out}), while the occupation is recognised in "
        f"{percent(corrected['subject_recognised']['value'])} of the images instead of "
        f"{percent(base['subject_recognised']['value'])}."
    )
    return before, after


def _verb(change: Mapping[str, float]) -> str:
    if change["high"] < 0:
        return "falls to"
    return "rises to" if change["low"] > 0 else "does not change measurably: it is"


def _content(files: RunFiles) -> dict[str, Any]:
    """Collect everything that the page says."""
    present = [name for name, source in SOURCES.items() if not source.is_optional]
    present += [name for name in SOURCES if name not in present and files.has(name)]
    files.require(*present)
    quality, fit = files.json("quality"), files.json("fit")
    gate, fairness = files.table("gate"), files.table("fairness")
    config = files.json("moesd")
    route = ROUTES[config["routing"]]
    made = read_provenance(files.path("quality"))
    n_subjects = int(fairness.loc[fairness["split"] == "all", "n_subjects"].max())
    return {
        "run": files.run.resolve().name,
        "made": made,
        "is_tinytown": made.model == "tinytown",
        "finding": finding(quality, model=made.model, n_subjects=n_subjects),
        "quality": quality,
        "fit": fit,
        "measures": MEASURES,
        "splits": _splits(quality, fairness),
        "failures": [
            (*text, quality["failures"][key])
            for key, text in FAILURES.items()
            if key in quality["failures"]
        ],
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
        "pictures": {name: _picture(files, name) for name in drawable(files)},
        "studies": [
            name
            for name in drawable(files)
            if any(SOURCES[source].is_optional for source in FIGURES[name].reads)
        ],
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
        "versions": [(package, version(package)) for package in PACKAGES],
    }


def _splits(quality: Mapping[str, Any], fairness: DataFrame) -> list[dict[str, Any]]:
    """One block a split: its figures of both sides, and the paired difference of MAD.

    A lexicon that holds nothing out has one block, all.
    """
    sides = quality["base"], quality["corrected"], quality["difference"]
    blocks = []
    for key, title in SPLITS:
        if key != "all" and key not in quality["base"]:
            continue
        base, corrected, change = sides if key == "all" else (side[key] for side in sides)
        rows = fairness[fairness["split"] == key]
        blocks.append(
            {
                "key": key,
                "title": title,
                "n_subjects": int(rows["n_subjects"].max()),
                "base": base,
                "corrected": corrected,
                "difference": change["mad"],
            }
        )
    return blocks


def _gates(gate: DataFrame) -> list[tuple[str, float]]:
    """Share of prompts that each gate routes rightly."""
    return [
        (title, float((gate["route_truth"] == gate[column]).mean()))
        for column, title in GATES.items()
    ]


def _mistakes(gate: DataFrame, route: str) -> list[dict[str, Any]]:
    """List the prompts of largest skew among those that the gate in use routes wrongly."""
    wrong = gate[gate["route_truth"] != gate[route]]
    order = wrong["skew"].abs().sort_values(ascending=False, kind="stable").index[:N_MISTAKES]
    rows = wrong.loc[order, ["prompt", "skew", "route_truth", route]]
    return [dict(row) for row in rows.rename(columns={route: "answer"}).to_dict("records")]


def _picture(files: RunFiles, name: str) -> Picture:
    """Read a figure that has been drawn, and see that it shows the results of today."""
    from PIL import Image

    entry = FIGURES[name]
    path = files.run / "figures" / f"{name}.png"
    if not path.is_file():
        raise StageError(f"{path} is missing; run `moesd-probe visualize {files.run}` first")
    try:
        content = path.read_bytes()
        with Image.open(path) as image:
            width, height = image.size
            origin = json.loads(image.info.get("Description", "{}"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is not an image of ours; run `moesd-probe visualize {files.run}` again"
        ) from error
    if origin.get("made_from") != files.provenance("figure", *entry.reads).made_from:
        raise StageError(
            f"{path} was drawn from other results than stand in the run; run `moesd-probe "
            f"visualize {files.run}` again"
        )
    return Picture(
        source=f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}",
        width=round(width * 0.56),  # 200 dots an inch, shown at 112 an inch
        height=round(height * 0.56),
        caption=entry.caption,
        alt=entry.alt,
    )
