"""Which face of a picture a classifier sees, and when it is said that there is none, or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from probe.images.missing_labels import AMBIGUOUS, UNDETECTED

if TYPE_CHECKING:
    from PIL.Image import Image

SIMILAR = 0.5
"""A second face of at least this share of the largest one's area makes a picture ambiguous. Our
choice: whom such a picture is of cannot be told from the sizes."""


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of the upright picture from its upper left corner."""

    left: float
    top: float
    width: float
    height: float
    score: float = 1.0
    """How sure the detector is, 0 to 1."""

    @property
    def area(self) -> float:
        """In pixels."""
        return self.width * self.height


class FaceDetector(Protocol):
    """Who finds faces: `Blaze`, `Boxes`, or anything alike."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""

    def find(
        self, pictures: Sequence[Image], /, *, names: Sequence[str]
    ) -> Sequence[Sequence[Face]]:
        """Find the faces of each of some upright RGB pictures.

        ``names`` is what their folder calls their files.
        """


def seen_face(picture: Image, faces: Sequence[Face], *, margin: float) -> Image | str:
    """Cut out the face that a picture is of.

    The largest face, as a square with a margin around it; where the square would leave the picture
    it is moved, and where it is larger than the picture, cut.

    Parameters
    ----------
    picture : Image
    faces : sequence of Face
        All of the picture's.
    margin : float
        Added on each side, as a share of the longer side of the face's box; FairFace was trained
        with 0.25.

    Returns
    -------
    Image or str
        The face; or why there is none: ``"undetected"`` without any face, ``"ambiguous"`` where
        the second largest has at least `SIMILAR` of the largest one's area.
    """
    if not faces:
        return UNDETECTED
    largest, *others = sorted(faces, key=lambda face: face.area, reverse=True)
    if others and others[0].area >= SIMILAR * largest.area:
        return AMBIGUOUS
    side = max(largest.width, largest.height) * (1 + 2 * margin)
    left, right = _span(largest.left + largest.width / 2, side, picture.width)
    top, bottom = _span(largest.top + largest.height / 2, side, picture.height)
    return picture.crop((left, top, right, bottom))


def _span(center: float, length: float, limit: int) -> tuple[int, int]:
    """Place a length around a center within a limit: at least one pixel."""
    n = min(max(1, round(length)), limit)
    start = min(max(0, round(center - length / 2)), limit - n)
    return start, start + n
