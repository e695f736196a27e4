"""From what a user names to a detector of faces."""

from __future__ import annotations

from pathlib import Path

from probe.errors import DataError, OptionError
from probe.images.faces.face import FaceDetector
from probe.io.files import hash_file

MEDIAPIPE = "mediapipe"
"""MediaPipe's detector with the weights that are shipped."""


def open_detector(chosen: str) -> FaceDetector:
    """Open the detector that a setting names.

    Parameters
    ----------
    chosen : str
        ``"mediapipe"``, the weights of a detector that MediaPipe opens (``.tflite``), or boxes
        that another detector has found (a table, see `probe.images.faces.boxes.Boxes`).

    Raises
    ------
    ModelError
        If MediaPipe is needed and not installed, or cannot open the weights.
    DataError
        If there is no such file, or the boxes are not what they must be.
    ValueError
        If the file is of another kind.
    """
    from probe.images.faces.blaze import Blaze
    from probe.images.faces.boxes import SUFFIXES, Boxes

    if chosen == MEDIAPIPE:
        return Blaze()
    path = Path(chosen)
    if is_boxes(chosen):
        return Boxes(_existing(path))
    if path.suffix.lower() == ".tflite":
        return Blaze(_existing(path))
    raise OptionError(
        f"faces is {chosen!r}; needed {MEDIAPIPE!r}, weights of MediaPipe's face detector "
        f"(.tflite), or boxes of another detector ({', '.join(SUFFIXES)})"
    )


def is_boxes(chosen: str) -> bool:
    """Tell whether a setting names boxes, which are of certain files, and no detector."""
    from probe.images.faces.boxes import SUFFIXES

    return Path(chosen).suffix.lower() in SUFFIXES


def detector_line(chosen: str) -> str:
    """Which detector a setting names, by the content of its file, to be hashed with results."""
    from probe.images.faces.blaze import LEAST_SCORE, shipped_weights
    from probe.images.faces.face import SIMILAR

    path = shipped_weights() if chosen == MEDIAPIPE else _existing(Path(chosen))
    return f"faces={hash_file(path)} score={LEAST_SCORE} similar={SIMILAR}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no file {path} to find faces with; correct its name")
    return path
