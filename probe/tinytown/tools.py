"""The tools that identify an occupation: drawings from ``probe/data/tinytown_tools.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from probe.tinytown.canvas import Canvas, Color

_DATA = tomllib.loads(
    (Path(__file__).parents[1] / "data" / "tinytown_tools.toml").read_text(encoding="utf-8")
)
TOOLS: dict[str, list[dict[str, Any]]] = _DATA["tools"]
"""Occupation -> shapes, each with its kind as the first key."""


def draw_tool(canvas: Canvas, occupation: str) -> None:
    """Draw an occupation's tool at the canvas's present placement."""
    for shape in TOOLS[occupation]:
        (kind, where), *options = shape.items()
        style = dict(options) | {"fill": _color(shape["fill"])}
        match kind:
            case "rectangle":
                canvas.rectangle(*where, **{"radius": 0.6, **style})
            case "ellipse":
                canvas.ellipse(*where, **style)
            case _:  # polygon, line, arc, pie
                getattr(canvas, kind)(where, **style)


def _color(fill: str | list[int]) -> Color:
    red, green, blue = _DATA["colors"][fill] if isinstance(fill, str) else fill
    return red, green, blue
