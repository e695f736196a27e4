"""A scene as a picture: portraits of inhabitants, and things."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from probe.tinytown.portrait import draw_portrait
from probe.tinytown.things import draw_thing
from probe.tinytown.world import Scene


def render(scene: Scene) -> Image.Image:
    """Draw one scene, 64 x 64 RGB; the same scene gives the same picture."""
    return (draw_portrait(scene) if scene.is_person else draw_thing(scene)).finish()


def render_all(scenes: Iterable[Scene]) -> npt.NDArray[np.uint8]:
    """Draw many scenes into one array of shape (n_scenes, 64, 64, 3)."""
    return np.stack([np.asarray(render(scene)) for scene in scenes])
