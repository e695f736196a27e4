"""What the scripts of the page read: one JSON object, safe inside HTML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from figures.gate import ROUTES
from figures.sources import RunFiles
from figures.style import GROUP_COLORS, OKABE_ITO

if TYPE_CHECKING:
    from pandas import DataFrame

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
