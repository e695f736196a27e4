"""MediaPipe's face detector, an optional extra; its weights ship with this package."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from probe.errors import ModelError
from probe.images.faces.face import Face
from probe.io.files import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

WEIGHTS = "face_detection_full_range_sparse.tflite"
"""BlazeFace, full range; see ``probe/data/faces/NOTICE.md``."""
LEAST_SCORE = 0.5
"""Least score of a face; MediaPipe's default."""


def shipped_weights() -> Path:
    """Return the path of the default weights."""
    return Path(str(files("probe"))) / "data" / "faces" / WEIGHTS


class MediaPipeDetector:
    """BlazeFace, run by MediaPipe on the CPU without network access.

    References
    ----------
    Bazarevsky et al., *BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs*, 2019.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        path = shipped_weights() if weights is None else Path(weights)
        if not path.is_file():
            raise ModelError(f"there are no weights {path}; name a .tflite file, or none")
        try:
            import mediapipe  # noqa: F401
        except (ImportError, OSError) as error:  # a system library may be missing
            raise ModelError(
                f"faces cannot be found without MediaPipe ({one_line(error)[:200]}); install it "
                "with `pip install 'moesd-probe[faces]'`, or give boxes of another detector, "
                "`--faces boxes.csv`"
            ) from error
        self._path = path
        self.name = f"MediaPipe, {path.stem}"
        with self._opened():
            pass

    def find(self, images: Sequence[Image], /, *, names: Sequence[str]) -> list[list[Face]]:
        """Detect the faces of each of some upright RGB images."""
        with self._opened() as detect:
            return [detect(np.ascontiguousarray(image.convert("RGB"))) for image in images]

    @contextmanager
    def _opened(self) -> Iterator[Callable[[npt.NDArray[np.uint8]], list[Face]]]:
        """Open the detector while it is used; MediaPipe needs it closed before the interpreter."""
        from mediapipe import Image, ImageFormat
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_path=str(self._path)),
            min_detection_confidence=LEAST_SCORE,
        )

        def detect(pixels: npt.NDArray[np.uint8]) -> list[Face]:
            found = detector.detect(Image(ImageFormat.SRGB, pixels)).detections
            boxes = [(of.bounding_box, of.categories[0].score) for of in found]
            return [
                Face(box.origin_x, box.origin_y, box.width, box.height, score)
                for box, score in boxes
            ]

        stack = ExitStack()
        try:
            with _silenced():
                detector = stack.enter_context(FaceDetector.create_from_options(options))
                detect(np.zeros((8, 8, 3), dtype=np.uint8))  # it warns at the first image
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(
                f"{self._path} cannot be opened as a face detector ({one_line(error)[:200]}); "
                "name a .tflite file of MediaPipe's face detector"
            ) from error
        try:
            yield detect
        finally:
            with _silenced():
                stack.close()


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard what MediaPipe's C++ code writes to standard error, some fifty lines per model."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
