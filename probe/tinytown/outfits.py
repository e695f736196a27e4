"""What an occupation wears and where it stands: uniform, hat, wall colour and wall pattern."""

from __future__ import annotations

from dataclasses import dataclass

from probe.tinytown.canvas import Color


@dataclass(frozen=True)
class Outfit:
    """The cues of an occupation besides its tool."""

    garment: str
    """One of `GARMENTS`."""
    garment_color: Color
    hat: str
    """One of `HATS`; ``""`` is bareheaded."""
    hat_color: Color
    wall: str
    """One of `WALLS`."""
    wall_color: Color


GARMENTS = ("suit", "coat", "apron", "overall", "vest", "shirt", "uniform", "sweater")
HATS = ("", "helmet", "cap", "wide", "toque", "band")
WALLS = ("plain", "stripes", "shelves", "window", "tiles", "field", "dots", "floor")

_NAVY: Color = (36, 50, 98)
_GREY: Color = (98, 104, 118)
_WHITE: Color = (244, 244, 248)
_BLACK: Color = (40, 40, 48)
_GREEN: Color = (60, 128, 74)
_TEAL: Color = (30, 140, 140)
_RED: Color = (190, 50, 54)
_ORANGE: Color = (236, 134, 44)
_YELLOW: Color = (240, 206, 70)
_BROWN: Color = (130, 86, 52)
_BLUE: Color = (62, 110, 196)
_SKY: Color = (176, 212, 240)
_PINK: Color = (238, 176, 196)
_LILAC: Color = (196, 176, 230)
_PURPLE: Color = (118, 74, 156)
_CREAM: Color = (244, 232, 204)
_MINT: Color = (190, 230, 208)
_SAND: Color = (222, 196, 148)
_STONE: Color = (196, 200, 206)
_ROSE: Color = (208, 96, 126)

OUTFITS: dict[str, Outfit] = {
    "carpenter": Outfit("overall", _BROWN, "cap", _BROWN, "shelves", _SAND),
    "mechanic": Outfit("overall", _NAVY, "cap", _RED, "tiles", _STONE),
    "construction worker": Outfit("vest", _ORANGE, "helmet", _YELLOW, "floor", _SKY),
    "laborer": Outfit("shirt", _BROWN, "helmet", _ORANGE, "stripes", _SAND),
    "driver": Outfit("uniform", _GREY, "cap", _BLACK, "window", _SKY),
    "sheriff": Outfit("uniform", _BROWN, "wide", _SAND, "field", _CREAM),
    "mover": Outfit("shirt", _BLUE, "cap", _BLUE, "floor", _CREAM),
    "developer": Outfit("sweater", _BLACK, "", _BLACK, "dots", _MINT),
    "farmer": Outfit("overall", _BLUE, "wide", _YELLOW, "field", _SKY),
    "guard": Outfit("uniform", _NAVY, "cap", _NAVY, "stripes", _STONE),
    "chief": Outfit("uniform", _RED, "cap", _WHITE, "floor", _PINK),
    "janitor": Outfit("overall", _GREEN, "cap", _GREEN, "tiles", _MINT),
    "lawyer": Outfit("suit", _BLACK, "", _BLACK, "shelves", _BROWN),
    "cook": Outfit("coat", _WHITE, "toque", _WHITE, "tiles", _SKY),
    "physician": Outfit("coat", _WHITE, "band", _TEAL, "plain", _MINT),
    "CEO": Outfit("suit", _NAVY, "", _BLACK, "window", _STONE),
    "analyst": Outfit("shirt", _WHITE, "", _BLACK, "dots", _SKY),
    "manager": Outfit("suit", _GREY, "", _BLACK, "stripes", _CREAM),
    "supervisor": Outfit("vest", _YELLOW, "helmet", _WHITE, "shelves", _STONE),
    "salesperson": Outfit("suit", _RED, "", _BLACK, "dots", _CREAM),
    "editor": Outfit("sweater", _RED, "", _BLACK, "shelves", _PINK),
    "designer": Outfit("sweater", _PURPLE, "band", _ORANGE, "dots", _LILAC),
    "accountant": Outfit("suit", _TEAL, "", _BLACK, "plain", _CREAM),
    "auditor": Outfit("suit", _BROWN, "", _BLACK, "window", _MINT),
    "writer": Outfit("sweater", _BROWN, "", _BLACK, "window", _SAND),
    "baker": Outfit("apron", _WHITE, "toque", _CREAM, "shelves", _CREAM),
    "clerk": Outfit("shirt", _PURPLE, "", _BLACK, "stripes", _LILAC),
    "cashier": Outfit("vest", _GREEN, "cap", _YELLOW, "plain", _YELLOW),
    "counselor": Outfit("sweater", _ROSE, "", _BLACK, "plain", _LILAC),
    "attendant": Outfit("uniform", _TEAL, "band", _RED, "window", _LILAC),
    "teacher": Outfit("shirt", _GREEN, "", _BLACK, "floor", _GREEN),
    "tailor": Outfit("vest", _PURPLE, "", _BLACK, "stripes", _PINK),
    "librarian": Outfit("sweater", _GREEN, "", _BLACK, "shelves", _LILAC),
    "assistant": Outfit("shirt", _SKY, "", _BLACK, "floor", _LILAC),
    "cleaner": Outfit("apron", _YELLOW, "band", _YELLOW, "tiles", _CREAM),
    "housekeeper": Outfit("apron", _BLACK, "band", _WHITE, "floor", _SAND),
    "nurse": Outfit("coat", _TEAL, "toque", _TEAL, "plain", _SKY),
    "receptionist": Outfit("suit", _ROSE, "", _BLACK, "floor", _MINT),
    "hairdresser": Outfit("apron", _ROSE, "", _BLACK, "tiles", _PINK),
    "secretary": Outfit("suit", _PURPLE, "", _BLACK, "dots", _PINK),
}
