"""A supersampled canvas: shapes are drawn in image pixels and reduced once at the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, ImageDraw

SIZE = 64
"""Side of a finished image, pixels."""
OVERSAMPLING = 4

Color: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """Where a drawing in its own units lands on the canvas."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0

    def __call__(self, point: Point) -> Point:
        return (
            OVERSAMPLING * (self.x + self.scale * point[0]),
            OVERSAMPLING * (self.y + self.scale * point[1]),
        )


class Canvas:
    """Flat shapes in image pixels, anti-aliased by reduction."""

    def __init__(self, background: Color) -> None:
        self._image = Image.new("RGB", (SIZE * OVERSAMPLING,) * 2, background)
        self._draw = ImageDraw.Draw(self._image)
        self.place = Placement()

    def polygon(self, points: Iterable[Point], fill: Color) -> None:
        self._draw.polygon([self.place(p) for p in points], fill=fill)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Color) -> None:
        self._draw.ellipse([*self.place((x0, y0)), *self.place((x1, y1))], fill=fill)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, fill: Color, *, radius: float = 0.0
    ) -> None:
        corners = [*self.place((x0, y0)), *self.place((x1, y1))]
        self._draw.rounded_rectangle(
            corners, radius=radius * OVERSAMPLING * self.place.scale, fill=fill
        )

    def line(self, points: Sequence[Point], fill: Color, width: float) -> None:
        stroke = max(1, round(width * OVERSAMPLING * self.place.scale))
        self._draw.line([self.place(p) for p in points], fill=fill, width=stroke, joint="curve")

    def arc(
        self,
        box: tuple[float, float, float, float],
        start: float,
        end: float,
        fill: Color,
        width: float,
    ) -> None:
        corners = [*self.place(box[:2]), *self.place(box[2:])]
        stroke = max(1, round(width * OVERSAMPLING * self.place.scale))
        self._draw.arc(corners, start, end, fill=fill, width=stroke)

    def pie(
        self, box: tuple[float, float, float, float], start: float, end: float, fill: Color
    ) -> None:
        corners = [*self.place(box[:2]), *self.place(box[2:])]
        self._draw.pieslice(corners, start, end, fill=fill)

    def finish(self) -> Image.Image:
        """Reduce to a ``SIZE`` x ``SIZE`` RGB image."""
        return self._image.reduce(OVERSAMPLING)


def shade(color: Color, factor: float) -> Color:
    """Darken (``factor`` < 1) or lighten (> 1) a color."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in color)
    return red, green, blue
