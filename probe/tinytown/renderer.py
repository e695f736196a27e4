"""A scene as an image: portraits of inhabitants, and things in a box of 48 x 48 pixels."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from probe.tinytown.canvas import Canvas, Color, Placement, shade
from probe.tinytown.portrait import draw_portrait
from probe.tinytown.world import Scene

DARK: Color = (44, 44, 54)
GLASS: Color = (180, 222, 244)
WOOD: Color = (134, 88, 48)
LEAF: Color = (58, 140, 66)


def render(scene: Scene) -> Image.Image:
    """Draw one scene, 64 x 64 RGB; the same scene gives the same image."""
    return (draw_portrait(scene) if scene.is_person else _draw_thing(scene)).finish()


def render_all(scenes: Iterable[Scene]) -> npt.NDArray[np.uint8]:
    """Draw many scenes into one array of shape (n_scenes, 64, 64, 3)."""
    return np.stack([np.asarray(render(scene)) for scene in scenes])


def _draw_thing(scene: Scene) -> Canvas:
    """Draw the scene's thing in a random hue before a random pale wall."""
    rng = np.random.default_rng(scene.style)
    canvas = Canvas(_hue(rng.random(), saturation=0.16, value=0.93))
    canvas.rectangle(0, 48, 64, 64, _hue(rng.random(), saturation=0.2, value=0.72))
    canvas.place = Placement(8 + rng.uniform(-3, 3), 8 + rng.uniform(-3, 3), rng.uniform(0.9, 1.1))
    _DRAWINGS[scene.subject](canvas, _hue(rng.random(), saturation=0.7, value=0.82))
    return canvas


def _hue(hue: float, *, saturation: float, value: float) -> Color:
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _car(canvas: Canvas, color: Color) -> None:
    canvas.polygon([(10, 24), (16, 12), (34, 12), (42, 24)], color)
    canvas.polygon([(14, 23), (18, 15), (25, 15), (25, 23)], GLASS)
    canvas.polygon([(27, 23), (27, 15), (33, 15), (38, 23)], GLASS)
    canvas.rectangle(1, 22, 48, 36, shade(color, 0.9), radius=4)
    for x in (6, 32):
        canvas.ellipse(x, 29, x + 11, 40, DARK)
        canvas.ellipse(x + 3, 32, x + 8, 37, (190, 190, 196))


def _tree(canvas: Canvas, color: Color) -> None:
    canvas.rectangle(20, 26, 28, 48, WOOD)
    for x, y in ((2, 12), (20, 12), (11, 0)):
        canvas.ellipse(x, y, x + 26, y + 24, LEAF)
    for x, y in ((10, 18), (24, 10), (34, 22)):
        canvas.ellipse(x, y, x + 4.5, y + 4.5, color)


def _house(canvas: Canvas, color: Color) -> None:
    canvas.rectangle(6, 20, 42, 46, color)
    canvas.polygon([(0, 22), (24, 0), (48, 22)], (150, 60, 48))
    canvas.rectangle(20, 30, 28, 46, WOOD)
    canvas.rectangle(10, 26, 17, 34, GLASS)
    canvas.rectangle(31, 26, 38, 34, GLASS)


def _cat(canvas: Canvas, color: Color) -> None:
    fur = shade(color, 0.85)
    canvas.ellipse(8, 24, 40, 50, fur)
    canvas.line([(38, 44), (47, 34), (44, 22)], fur, 4)
    canvas.polygon([(11, 16), (11, 0), (21, 9)], fur)
    canvas.polygon([(37, 16), (37, 0), (27, 9)], fur)
    canvas.ellipse(9, 5, 39, 31, fur)
    for x in (16, 27):
        canvas.ellipse(x, 13, x + 5.5, 20, (240, 232, 90))
        canvas.ellipse(x + 2, 13, x + 3.8, 20, DARK)
    canvas.polygon([(22, 22), (26, 22), (24, 25)], (240, 150, 160))


def _boat(canvas: Canvas, color: Color) -> None:
    canvas.rectangle(22.4, 0, 25, 34, WOOD)
    canvas.polygon([(26, 2), (26, 30), (46, 30)], (250, 250, 250))
    canvas.polygon([(21, 6), (21, 30), (5, 30)], shade(color, 1.2))
    canvas.polygon([(1, 33), (47, 33), (39, 45), (9, 45)], color)
    canvas.rectangle(-8, 43, 56, 56, (70, 140, 210))


def _apple(canvas: Canvas, color: Color) -> None:
    canvas.ellipse(4, 12, 30, 46, (206, 44, 48))
    canvas.ellipse(18, 12, 44, 46, (206, 44, 48))
    canvas.line([(24, 16), (26, 2)], WOOD, 3)
    canvas.ellipse(26, 2, 40, 10, LEAF)
    canvas.ellipse(9, 18, 15, 27, (246, 170, 160))


def _chair(canvas: Canvas, color: Color) -> None:
    canvas.rectangle(10, 0, 38, 26, color, radius=3)
    canvas.rectangle(7, 26, 41, 32, shade(color, 0.75))
    for x in (8, 36):
        canvas.rectangle(x, 32, x + 4, 48, shade(color, 0.6))


def _cup(canvas: Canvas, color: Color) -> None:
    canvas.arc((28, 16, 47, 36), 270, 90, color, 4)
    canvas.rectangle(6, 12, 36, 44, color, radius=5)
    canvas.ellipse(6, 8, 36, 17, shade(color, 1.25))
    canvas.ellipse(9, 9.6, 33, 15.4, (92, 56, 34))


def _lamp(canvas: Canvas, color: Color) -> None:
    canvas.rectangle(22, 22, 26, 44, DARK)
    canvas.rectangle(12, 43, 36, 48, DARK, radius=2)
    canvas.polygon([(15, 0), (33, 0), (44, 23), (4, 23)], color)
    canvas.polygon([(4, 23), (44, 23), (40, 28), (8, 28)], (255, 244, 170))


def _fish(canvas: Canvas, color: Color) -> None:
    canvas.polygon([(34, 24), (49, 10), (49, 38)], shade(color, 0.8))
    canvas.ellipse(0, 9, 40, 39, color)
    canvas.polygon([(14, 11), (28, 1), (28, 11)], shade(color, 0.8))
    canvas.ellipse(7, 17, 13, 23, (255, 255, 255))
    canvas.ellipse(9, 19, 12, 22, DARK)
    canvas.arc((12, 14, 24, 34), 300, 60, shade(color, 0.65), 2)


_DRAWINGS: dict[str, Callable[[Canvas, Color], None]] = {
    "car": _car,
    "tree": _tree,
    "house": _house,
    "cat": _cat,
    "boat": _boat,
    "apple": _apple,
    "chair": _chair,
    "cup": _cup,
    "lamp": _lamp,
    "fish": _fish,
}
