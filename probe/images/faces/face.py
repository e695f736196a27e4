"""The face of an image that a classifier gets, and why there may be none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from probe.images.missing_labels import AMBIGUOUS, UNDETECTED

if TYPE_CHECKING:
    from PIL.Image import Image

SIMILAR = 0.5
"""A second face of at least this share of the largest one's area makes an image ambiguous; ours."""


@dataclass(frozen=True)
class Face:
    """A face's box, in pixels of the upright image from its upper left corner."""

    left: float
    top: float
    width: float
    height: float
    score: float = 1.0
    """The detector's confidence, 0 to 1."""

    @property
    def area(self) -> float:
        """In pixels."""
        return self.width * self.height


class FaceDetector(Protocol):
    """A detector of faces, such as `MediaPipeDetector` and `Boxes`."""

    @property
    def name(self) -> str:
        """Its name in results."""

    def find(self, images: Sequence[Image], /, *, names: Sequence[str]) -> Sequence[Sequence[Face]]:
        """Find the faces of each of some upright RGB images with their file names."""


class Halves:
    """Takes each half of an image, left and right, for a face."""

    name = "the halves of each image"

    def find(self, images: Sequence[Image], /, *, names: Sequence[str]) -> list[list[Face]]:
        """Return two boxes for each image."""
        halves = ((of.width / 2, of.height) for of in images)
        return [[Face(0, 0, *half), Face(half[0], 0, *half)] for half in halves]


def crop_face(image: Image, faces: Sequence[Face], *, margin: float) -> Image | str:
    """Crop the largest of an image's faces, as a square with a margin.

    Without a face the result is ``"undetected"``, and ``"ambiguous"`` if the second largest has at
    least `SIMILAR` of the largest one's area. The margin is added on each side, as a share of the
    longer side of the box; FairFace was trained with 0.25. A square that leaves the image is moved
    inside; one larger than the image is cut.
    """
    if not faces:
        return UNDETECTED
    largest, *others = sorted(faces, key=lambda face: face.area, reverse=True)
    if others and others[0].area >= SIMILAR * largest.area:
        return AMBIGUOUS
    side = max(largest.width, largest.height) * (1 + 2 * margin)
    left, right = _span(largest.left + largest.width / 2, side, image.width)
    top, bottom = _span(largest.top + largest.height / 2, side, image.height)
    return image.crop((left, top, right, bottom))


def two_faces(faces: Sequence[Face]) -> tuple[Face, Face] | str:
    """Choose the two largest faces, left to right.

    ``"undetected"`` if they are fewer, ``"ambiguous"`` if a third is `SIMILAR` to the second.
    """
    if len(faces) < 2:
        return UNDETECTED
    first, second, *others = sorted(faces, key=lambda face: face.area, reverse=True)
    if others and others[0].area >= SIMILAR * second.area:
        return AMBIGUOUS
    left, right = sorted((first, second), key=lambda face: face.left + face.width / 2)
    return left, right


def _span(center: float, length: float, limit: int) -> tuple[int, int]:
    """Place a length around a center within a limit; at least one pixel."""
    n = min(max(1, round(length)), limit)
    start = min(max(0, round(center - length / 2)), limit - n)
    return start, start + n
