"""Face detectors by the setting that names them: MediaPipe's, or boxes of another detector."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import DataError, OptionError
from probe.images.faces.face import SIMILAR, Face, FaceDetector
from probe.images.faces.mediapipe_detector import LEAST_SCORE, MediaPipeDetector, shipped_weights
from probe.io.files import hash_file
from probe.io.lines import nearest
from probe.io.records import Records

if TYPE_CHECKING:
    from PIL.Image import Image

MEDIAPIPE = "mediapipe"
"""MediaPipe's detector with the shipped weights."""
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
COLUMNS = ("file_name", "left", "top", "width", "height")
"""Required columns of a table of boxes."""


def open_detector(chosen: str) -> FaceDetector:
    """Open ``"mediapipe"``, a ``.tflite`` file of its detector's weights, or a table of `Boxes`."""
    if chosen == MEDIAPIPE:
        return MediaPipeDetector()
    path = Path(chosen)
    if is_boxes(chosen):
        return Boxes(_existing(path))
    if path.suffix.lower() == ".tflite":
        return MediaPipeDetector(_existing(path))
    raise OptionError(
        f"faces is {chosen!r}; needed {MEDIAPIPE!r}, weights of MediaPipe's face detector "
        f"(.tflite), or boxes of another detector ({', '.join(SUFFIXES)})"
    )


def is_boxes(chosen: str) -> bool:
    """Whether a setting names boxes rather than a detector."""
    return Path(chosen).suffix.lower() in SUFFIXES


def detector_line(chosen: str) -> str:
    """Identify a detector by the content of its file, for the hash of results."""
    path = shipped_weights() if chosen == MEDIAPIPE else _existing(Path(chosen))
    return f"faces={hash_file(path)} score={LEAST_SCORE} similar={SIMILAR}"


class Boxes:
    """Boxes of faces, one per row, by the image's file name.

    The table has the columns `COLUMNS`, in pixels of the upright image. A row with only a
    ``file_name`` means that the image has no face. Errors name the row.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.name = f"boxes of {self._path.name}"
        self._faces: dict[str, list[Face]] = {}
        records = Records.read(self._path)
        if missing := [name for name in COLUMNS if name not in records.columns]:
            raise DataError(
                f"{path} has the columns {', '.join(records.columns)} but not "
                f"{', '.join(missing)}; needed {', '.join(COLUMNS)}"
            )
        places = {name: place for place, name in enumerate(records.columns)}
        for where, row in records.rows:
            if all(cell is None for cell in row):
                continue
            file_name = str(row[places["file_name"]] or "").strip()
            if not file_name:
                raise DataError(f"{path}, {where}, names no file; fill it in, or delete the row")
            found = self._faces.setdefault(_plain(file_name), [])
            box = [row[places[name]] for name in COLUMNS[1:]]
            if not all(cell is None or not str(cell).strip() for cell in box):
                numbers = [self._number(cell, where) for cell in box]
                if min(numbers[2:]) <= 0:
                    raise DataError(f"{path}, {where}: the box has no size; correct the row")
                found.append(Face(*numbers))

    def find(self, images: Sequence[Image], /, *, names: Sequence[str]) -> list[list[Face]]:
        """Look up the faces of each image; refuse an image without row, or a box outside of it."""
        return [self._look_up(*of) for of in zip(images, names, strict=True)]

    def _look_up(self, image: Image, name: str) -> list[Face]:
        known = self._faces.get(_plain(name))
        if known is None:
            raise DataError(
                f"{self._path} has no row for {name}{nearest(_plain(name), self._faces)}; add its "
                "boxes, or a row with its file_name alone if it shows no face"
            )
        for face in known:
            is_beside = face.left >= image.width or face.top >= image.height
            if is_beside or face.left + face.width <= 0 or face.top + face.height <= 0:
                raise DataError(
                    f"{self._path}: a box of {name} lies outside of the image, which has "
                    f"{image.width} x {image.height} pixels; needed pixels of the upright image"
                )
        return known

    def _number(self, cell: object, where: str) -> float:
        try:
            number = float(str(cell))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DataError(
                f"{self._path}, {where}, holds {cell!r} where a number of pixels was needed"
            )
        return number


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no file {path} to find faces with; correct its name")
    return path


def _plain(file_name: str) -> str:
    """Normalise a file name to forward slashes."""
    return posixpath.normpath(file_name.replace("\\", "/"))
