"""Open the face detector that a setting names."""

from __future__ import annotations

from pathlib import Path

from probe.errors import DataError, OptionError
from probe.images.faces.boxes import SUFFIXES, Boxes
from probe.images.faces.face import SIMILAR, FaceDetector
from probe.images.faces.mediapipe_detector import LEAST_SCORE, MediaPipeDetector, shipped_weights
from probe.io.files import hash_file

MEDIAPIPE = "mediapipe"
"""MediaPipe's detector with the shipped weights."""


def open_detector(chosen: str) -> FaceDetector:
    """Open a face detector.

    Parameters
    ----------
    chosen : str
        ``"mediapipe"``, weights of MediaPipe's face detector (``.tflite``), or boxes of another
        detector (a table, see `probe.images.faces.boxes.Boxes`).

    Raises
    ------
    ModelError
        If MediaPipe is needed and not installed, or cannot open the weights.
    DataError
        If there is no such file, or the boxes are invalid.
    ValueError
        If the file is of another kind.
    """
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


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no file {path} to find faces with; correct its name")
    return path
