"""A scene as an image: portraits of inhabitants, and things in a box of 48 x 48 pixels."""

import colorsys
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from probe.tinytown.canvas import Canvas, Color, Placement
from probe.tinytown.occupations import THINGS, draw_shapes
from probe.tinytown.portrait import draw_portrait
from probe.tinytown.world import Scene


def render(scene: Scene) -> Image.Image:
    """Draw one scene, 64 x 64 RGB; the same scene gives the same image."""
    return (draw_portrait(scene) if scene.is_person else _draw_thing(scene)).finish()


def render_all(scenes: Iterable[Scene]) -> npt.NDArray[np.uint8]:
    """Draw many scenes into one array of shape (n_scenes, 64, 64, 3)."""
    return np.stack([np.asarray(render(scene)) for scene in scenes])


def render_pair(left: Scene, right: Scene) -> Image.Image:
    """Draw two scenes side by side, 128 x 64 RGB; each half is that of `render`."""
    return Image.fromarray(np.hstack(list(render_all([left, right]))))


def _draw_thing(scene: Scene) -> Canvas:
    """Draw the scene's thing in a random hue before a random pale wall."""
    rng = np.random.default_rng(scene.style)
    canvas = Canvas(_hue(rng.random(), saturation=0.16, value=0.93))
    canvas.rectangle(0, 48, 64, 64, _hue(rng.random(), saturation=0.2, value=0.72))
    canvas.place = Placement(8 + rng.uniform(-3, 3), 8 + rng.uniform(-3, 3), rng.uniform(0.9, 1.1))
    own = _hue(rng.random(), saturation=0.7, value=0.82)
    draw_shapes(canvas, THINGS[scene.subject], own=own)
    return canvas


def _hue(hue: float, *, saturation: float, value: float) -> Color:
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
