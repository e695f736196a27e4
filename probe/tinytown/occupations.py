"""Outfits, tools and things as data, from ``probe/data/tinytown.toml``, and how they are drawn."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from probe.tinytown.canvas import Canvas, Color, shade

_DATA = tomllib.loads(
    (Path(__file__).parents[1] / "data" / "tinytown.toml").read_text(encoding="utf-8")
)
Shapes: TypeAlias = list[dict[str, Any]]
"""Shapes in drawing order, each with its kind as the first key."""
TOOLS: dict[str, Shapes] = _DATA["tools"]
THINGS: dict[str, Shapes] = _DATA["things"]
HATS: dict[str, Shapes] = _DATA["hats"]
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


def draw_shapes(
    canvas: Canvas, shapes: Shapes, *, own: Color = (0, 0, 0), radius: float = 0.0
) -> None:
    """Draw shapes at the canvas's present placement, rectangles with a radius unless they say."""
    for shape in shapes:
        (kind, where), *options = shape.items()
        style, fill = dict(options), shape["fill"]
        if fill == "own":
            style["fill"] = shade(own, style.pop("shade", 1.0))
        else:
            style["fill"] = tuple(_DATA["colors"][fill] if isinstance(fill, str) else fill)
        match kind:
            case "rectangle":
                canvas.rectangle(*where, **{"radius": radius, **style})
            case "ellipse":
                canvas.ellipse(*where, **style)
            case _:  # polygon, line, arc, pie
                getattr(canvas, kind)(where, **style)
