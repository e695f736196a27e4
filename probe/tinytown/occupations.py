"""What identifies an occupation: its outfit and its tool, from ``probe/data/tinytown.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.tinytown.canvas import Canvas, Color

_DATA = tomllib.loads(
    (Path(__file__).parents[1] / "data" / "tinytown.toml").read_text(encoding="utf-8")
)
TOOLS: dict[str, list[dict[str, Any]]] = _DATA["tools"]
"""Occupation -> shapes, each with its kind as the first key."""
PEOPLE: dict[str, list[str]] = _DATA["people"]
"""Which occupations have older or younger people, lighter or darker skin."""
NEVER_GENDERED: frozenset[str] = frozenset(_DATA["never_gendered"]["occupations"])
"""Occupations whose captions never state a gender, so that a test split of them is unseen."""


@dataclass(frozen=True)
class Outfit:
    """What an occupation wears, and the wall before which it stands."""

    garment: str
    garment_color: Color
    hat: str
    """``""`` is bareheaded."""
    hat_color: Color
    wall: str
    wall_color: Color


def _outfit(
    garment: str, garment_color: str, hat: str, hat_color: str, wall: str, wall_color: str
) -> Outfit:
    color = _DATA["palette"]
    return Outfit(
        garment, tuple(color[garment_color]), hat, tuple(color[hat_color]), wall,
        tuple(color[wall_color]),
    )  # fmt: skip


OUTFITS = {name: _outfit(*row) for name, row in _DATA["outfits"].items()}


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
