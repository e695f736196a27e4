"""The tools that tell an occupation: small drawings in a box 20 wide and 28 high."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from probe.tinytown.canvas import Canvas, Color

Stroke: TypeAlias = tuple[Any, ...]

WOOD: Color = (176, 120, 62)
STEEL: Color = (150, 158, 170)
DARK: Color = (42, 44, 54)
WHITE: Color = (250, 250, 246)
RED: Color = (212, 44, 48)
GOLD: Color = (240, 190, 40)
GREEN: Color = (52, 150, 76)
BLUE: Color = (46, 96, 190)
PINK: Color = (238, 130, 166)
ORANGE: Color = (240, 130, 36)
PURPLE: Color = (128, 70, 170)
CYAN: Color = (70, 190, 210)

_STAR = [
    (10, 2), (12.6, 9.6), (20, 9.8), (14.2, 14.6), (16.4, 22), (10, 17.6), (3.6, 22),
    (5.8, 14.6), (0, 9.8), (7.4, 9.6),
]  # fmt: skip
_HEART = [(10, 22), (1, 11), (1, 7), (5, 4), (10, 8), (15, 4), (19, 7), (19, 11)]

# kind, then its arguments: r = rectangle x0 y0 x1 y1, e = ellipse, p = polygon, l = line + width,
# a = arc box start end + width, s = pie slice.
TOOLS: dict[str, list[Stroke]] = {
    "carpenter": [  # hammer
        ("r", 8.4, 8, 11.6, 28, WOOD), ("r", 2, 2, 18, 9, STEEL), ("p", [(18, 2), (20, 0), (20, 9), (18, 9)], STEEL),
    ],
    "mechanic": [  # wrench
        ("l", [(10, 9), (10, 27)], STEEL, 5), ("a", (2, 0, 18, 14), 300, 240, STEEL, 4.6),
    ],
    "construction worker": [  # shovel
        ("l", [(10, 0), (10, 16)], WOOD, 3), ("p", [(3, 15), (17, 15), (17, 22), (10, 28), (3, 22)], STEEL),
        ("l", [(5, 1.5), (15, 1.5)], WOOD, 3),
    ],
    "laborer": [  # bricks
        ("r", 0, 20, 9, 27, RED), ("r", 11, 20, 20, 27, RED), ("r", 5, 11.4, 15, 18.6, (196, 70, 44)),
        ("r", 5, 3, 15, 10, RED),
    ],
    "driver": [  # steering wheel
        ("a", (0, 4, 20, 24), 0, 360, DARK, 3.4), ("l", [(1, 14), (19, 14)], DARK, 3), ("l", [(10, 14), (10, 24)], DARK, 3),
        ("e", 7, 11, 13, 17, STEEL),
    ],
    "sheriff": [("p", _STAR, GOLD), ("e", 7.4, 9.4, 12.6, 14.6, WOOD)],
    "mover": [  # parcel
        ("r", 0, 8, 20, 27, (200, 150, 92)), ("r", 8, 8, 12, 27, (238, 214, 160)), ("l", [(0, 13), (20, 13)], (150, 104, 56), 1),
    ],
    "developer": [  # laptop
        ("r", 2, 6, 18, 20, DARK), ("r", 3.6, 7.6, 16.4, 18.4, (60, 220, 130)), ("p", [(0, 24), (20, 24), (18, 20), (2, 20)], STEEL),
    ],
    "farmer": [  # pitchfork
        ("l", [(10, 8), (10, 28)], WOOD, 3), ("l", [(2, 0), (2, 9), (18, 9), (18, 0)], STEEL, 2.4), ("l", [(10, 0), (10, 9)], STEEL, 2.4),
    ],
    "guard": [  # shield
        ("p", [(1, 3), (19, 3), (19, 15), (10, 27), (1, 15)], BLUE), ("p", [(10, 3), (19, 3), (19, 15), (10, 27)], (96, 150, 236)),
    ],
    "chief": [  # medal
        ("p", [(3, 0), (9, 0), (12, 14), (8, 14)], RED), ("p", [(17, 0), (11, 0), (8, 14), (12, 14)], BLUE), ("e", 3, 12, 17, 26, GOLD),
        ("e", 6.4, 15.4, 13.6, 22.6, (255, 226, 120)),
    ],
    "janitor": [  # mop
        ("l", [(10, 0), (10, 18)], WOOD, 2.6), ("p", [(4, 17), (16, 17), (20, 28), (0, 28)], (222, 222, 230)),
        ("l", [(6, 20), (4, 28)], STEEL, 1), ("l", [(10, 20), (10, 28)], STEEL, 1), ("l", [(14, 20), (16, 28)], STEEL, 1),
    ],
    "lawyer": [  # scales
        ("l", [(10, 2), (10, 26)], GOLD, 2.4), ("l", [(1, 6), (19, 6)], GOLD, 2.4), ("s", (-2, 9, 7, 18), 0, 180, GOLD),
        ("s", (13, 9, 22, 18), 0, 180, GOLD), ("r", 5, 25, 15, 28, GOLD),
    ],
    "cook": [  # frying pan with an egg
        ("l", [(10, 18), (10, 28)], DARK, 3.4), ("e", 0, 1, 20, 20, DARK), ("e", 3.6, 4.6, 16.4, 16.4, WHITE), ("e", 7.4, 8, 12.6, 13, GOLD),
    ],
    "physician": [  # stethoscope
        ("a", (3, -6, 17, 16), 0, 180, DARK, 2.2), ("l", [(10, 16), (10, 22)], DARK, 2.2), ("e", 5.6, 19, 14.4, 27.6, STEEL),
        ("e", 8, 21.4, 12, 25.4, WHITE),
    ],
    "CEO": [  # briefcase
        ("r", 0, 10, 20, 26, (110, 62, 34)), ("a", (5, 4, 15, 16), 180, 360, DARK, 2.4), ("r", 8, 15, 12, 19, GOLD),
    ],
    "analyst": [  # rising chart
        ("r", 0, 4, 20, 26, WHITE), ("l", [(2, 22), (7, 15), (11, 18), (18, 7)], RED, 2.6),
    ],
    "manager": [  # clipboard
        ("r", 1, 3, 19, 28, WOOD), ("r", 3, 6, 17, 26, WHITE), ("r", 6.4, 1, 13.6, 6, STEEL), ("l", [(5, 11), (15, 11)], GREEN, 2),
        ("l", [(5, 16), (15, 16)], GREEN, 2), ("l", [(5, 21), (15, 21)], GREEN, 2),
    ],
    "supervisor": [  # megaphone
        ("p", [(0, 11), (8, 11), (20, 3), (20, 23), (8, 17), (0, 17)], ORANGE), ("r", 4, 17, 8, 25, DARK),
    ],
    "salesperson": [  # price tag
        ("p", [(2, 10), (10, 1), (18, 10), (18, 27), (2, 27)], (250, 226, 80)), ("e", 7.8, 6, 12.2, 10.4, DARK),
        ("l", [(5, 23), (15, 14)], RED, 2.4),
    ],
    "editor": [  # red pencil
        ("p", [(6, 0), (14, 0), (14, 20), (10, 28), (6, 20)], RED), ("p", [(6, 20), (14, 20), (10, 28)], (240, 206, 160)),
        ("r", 6, 0, 14, 4, PINK),
    ],
    "designer": [  # palette
        ("e", 0, 4, 20, 25, (226, 190, 140)), ("e", 3, 7, 7.6, 11.6, RED), ("e", 10, 6, 14.6, 10.6, BLUE), ("e", 14, 12, 18.4, 16.4, GREEN),
        ("e", 3.6, 15, 8.2, 19.6, GOLD),
    ],
    "accountant": [  # calculator
        ("r", 2, 2, 18, 27, (70, 74, 90)), ("r", 4, 4, 16, 9.6, (170, 226, 180)),
        *[("r", x, y, x + 3, y + 3, WHITE) for x in (4, 8.5, 13) for y in (12, 16.6, 21.2)],
    ],
    "auditor": [  # magnifying glass
        ("l", [(13, 16), (19, 27)], WOOD, 4), ("e", 0, 1, 17, 18, DARK), ("e", 3, 4, 14, 15, (196, 232, 246)),
    ],
    "writer": [  # quill
        ("p", [(18, 0), (19, 8), (9, 20), (5, 22), (4, 18)], WHITE), ("l", [(18, 0), (4, 27)], DARK, 1.4),
    ],
    "baker": [  # loaf
        ("r", 0, 10, 20, 24, (206, 140, 66), 6), ("l", [(5, 12), (8, 20)], (248, 212, 150), 2), ("l", [(10, 12), (13, 20)], (248, 212, 150), 2),
        ("l", [(15, 12), (17, 18)], (248, 212, 150), 2),
    ],
    "clerk": [  # rubber stamp
        ("e", 6, 2, 14, 10, WOOD), ("r", 8, 8, 12, 17, WOOD), ("r", 2, 16, 18, 22, DARK), ("r", 1, 24, 19, 27, PURPLE),
    ],
    "cashier": [  # banknotes
        ("r", -1, 12, 21, 25, (30, 110, 56)), ("r", -1, 8, 21, 21, GREEN), ("e", 6, 10.4, 14, 18.6, (196, 240, 196)),
    ],
    "counselor": [("p", _HEART, PINK)],
    "attendant": [  # tray with a glass
        ("r", -2, 21, 22, 24.4, STEEL), ("p", [(4, 6), (16, 6), (13, 21), (7, 21)], CYAN), ("l", [(12, 10), (17, 0)], RED, 1.6),
    ],
    "teacher": [  # globe
        ("e", 1, 2, 19, 20, BLUE), ("p", [(4, 6), (10, 4), (11, 10), (7, 14), (4, 11)], GREEN), ("p", [(12, 11), (17, 10), (15, 17)], GREEN),
        ("l", [(10, 20), (10, 25)], WOOD, 2.4), ("r", 4, 24, 16, 27, WOOD),
    ],
    "tailor": [  # scissors
        ("l", [(4, 0), (13, 18)], STEEL, 3), ("l", [(16, 0), (7, 18)], STEEL, 3), ("a", (1, 17, 9, 27), 0, 360, RED, 2.4),
        ("a", (11, 17, 19, 27), 0, 360, RED, 2.4),
    ],
    "librarian": [  # books
        ("r", 1, 20, 19, 27, RED), ("r", 3, 13, 20, 20, BLUE), ("r", 0, 6, 17, 13, GREEN), ("r", 14, 6, 15.6, 13, GOLD), ("r", 4, 20, 5.6, 27, GOLD),
    ],
    "assistant": [  # calendar
        ("r", 1, 5, 19, 27, WHITE), ("r", 1, 5, 19, 11, RED), ("r", 5, 2, 7.4, 8, DARK), ("r", 12.6, 2, 15, 8, DARK),
        *[("r", x, y, x + 3, y + 3, BLUE) for x in (4, 8.5, 13) for y in (14, 19.6)],
    ],
    "cleaner": [  # spray bottle
        ("r", 4, 11, 16, 28, CYAN, 2), ("r", 7.4, 5, 12.6, 11, WHITE), ("r", 2, 2, 14, 6.4, WHITE), ("r", 6, 17, 14, 23, WHITE),
    ],
    "housekeeper": [  # broom
        ("l", [(10, 0), (10, 16)], PURPLE, 2.6), ("p", [(6, 15), (14, 15), (19, 28), (1, 28)], GOLD), ("r", 5.4, 15, 14.6, 18, RED),
    ],
    "nurse": [  # red cross
        ("r", 0, 4, 20, 24, WHITE, 2), ("r", 7.4, 6, 12.6, 22, RED), ("r", 2, 11.4, 18, 16.6, RED),
    ],
    "receptionist": [  # bell
        ("s", (0, 6, 20, 30), 180, 360, GOLD), ("r", -1, 18, 21, 22, DARK), ("e", 8, 3, 12, 7, DARK),
    ],
    "hairdresser": [  # comb
        ("r", 3, 0, 8, 28, PURPLE), *[("r", 8, y, 17, y + 2.2, PURPLE) for y in (0, 5.1, 10.3, 15.5, 20.6, 25.8)],
    ],
    "secretary": [  # envelope
        ("r", -1, 7, 21, 23, WHITE), ("l", [(-1, 7), (10, 16), (21, 7)], DARK, 1.6), ("e", 7.6, 12.6, 12.4, 17.4, RED),
    ],
}  # fmt: skip


def draw_tool(canvas: Canvas, occupation: str) -> None:
    """Draw the occupation's tool at the canvas's present placement."""
    for kind, *rest in TOOLS[occupation]:
        _STROKES[kind](canvas, *rest)


def _rectangle(
    canvas: Canvas, x0: float, y0: float, x1: float, y1: float, fill: Color, radius: float = 0.6
) -> None:
    canvas.rectangle(x0, y0, x1, y1, fill, radius=radius)


_STROKES: dict[str, Callable[..., None]] = {
    "r": _rectangle,
    "e": Canvas.ellipse,
    "p": Canvas.polygon,
    "l": Canvas.line,
    "a": Canvas.arc,
    "s": Canvas.pie,
}
