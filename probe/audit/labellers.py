"""What labels images: a classifier or a CLIP, in whole images or faces, here or on a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import DataError, OptionError
from probe.images.faces.classifier import Classifier, FaceClassifier
from probe.images.faces.face import FaceDetector
from probe.images.reading import Images, open_batches
from probe.io.executors import refuse_other

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from probe.images.quality.clip_score import ClipScorer

FACE_MARGIN = 0.25
"""Around a face, as a share of its size, on each side; FairFace's crops have as much."""

Opened = tuple[Classifier, FaceDetector | None, float]
"""A classifier, what finds its faces if it is shown faces, and the margin around a face."""
Piece = tuple[Images, list[str]]
"""Images, and the names that a folder has for them."""
Seen = tuple[list[int], list[Any], dict[int, str]]
"""Positions of the images of a piece that can be opened, their labels, and why others cannot."""


class ZeroShot:
    """Zero-shot classification of one attribute by a CLIP, with a sentence for each value.

    The values are at least 2 nouns, as in ``"woman"``, or sentences with a space.

    References
    ----------
    Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021,
    section 3.1.
    """

    def __init__(self, scorer: ClipScorer, attribute: str, values: Sequence[str]) -> None:
        from probe.text.templates import fill

        if len(set(values)) < max(2, len(values)):
            raise OptionError(f"values are {list(values)}; needed at least 2, and no two the same")
        self.attributes = {attribute: list(values)}
        self._attribute, self._scorer = attribute, scorer
        self._prompts = [fill("a photo of a {value}", value=value) for value in values]

    def label(self, images: Sequence[Image], /) -> pd.DataFrame:
        """Say which value each image shows most probably, and how probably."""
        import pandas as pd

        weights = self._scorer.weigh(images, self._prompts)
        values = self.attributes[self._attribute]
        return pd.DataFrame(
            {
                self._attribute: [values[best] for best in weights.argmax(axis=1)],
                f"{self._attribute}_confidence": weights.max(axis=1),
            }
        )


@dataclass(frozen=True)
class Labeller:
    """What is to label images, in names that a worker can open, too; see `label_folder`."""

    classifier: str | None
    clip: str | None
    attribute: str | None
    values: Sequence[str] | None
    faces: str | None
    face_margin: float | None
    device: str

    def open(self) -> Opened:
        """Open the classifier, and what finds faces for it."""
        from probe.images.faces.detectors import MEDIAPIPE, open_detector

        opened, faces = self._open_classifier(), self.faces
        own_margin = getattr(opened, "face_margin", None)
        if own_margin is not None:  # it was made for faces
            faces = faces or MEDIAPIPE
        if self.face_margin is not None and not faces:
            raise OptionError("--face-margin is for --faces")
        margins = (margin for margin in (self.face_margin, own_margin) if margin is not None)
        return opened, open_detector(faces) if faces else None, next(margins, FACE_MARGIN)

    def revision(self) -> str:
        """Name the exact weights of the classifier, and of the detector of faces."""
        from probe.images.faces.detectors import detector_line
        from probe.images.onnx_classifier import is_named, named_revision
        from probe.text.checkpoints import model_revision

        part = "classifier" if self.classifier else "clip"
        name = str(getattr(self, part))
        found = named_revision(name) if is_named(name) else model_revision(part_folder(name, part))
        return f"{found}, {detector_line(self.faces)}" if self.faces else found

    def open_on_worker(self, revision: str) -> Callable[[Piece], Seen]:
        """Open the same weights elsewhere; return a function that labels a piece."""
        refuse_other("the classifier", self.revision(), revision)
        return partial(look, self.open())

    def _open_classifier(self) -> Classifier:
        if bool(self.classifier) == bool(self.clip):
            raise OptionError(
                "it is not clear what labels the images; needed either --classifier FOLDER, or "
                "--clip FOLDER with --values woman,man"
            )
        if self.classifier:
            from probe.images.attributes import load_classifier
            from probe.images.onnx_classifier import is_named

            name, attribute = self.classifier, self.attribute
            if self.values is not None:
                raise OptionError(
                    "--values is for --clip and files; a classifier knows its own values"
                )
            path = name if is_named(name) else part_folder(name, "classifier")
            found: Classifier = load_classifier(path, device=self.device)
            if attribute is not None and attribute not in found.attributes:
                known = ", ".join(found.attributes)
                raise DataError(f"the classifier {name} knows {known}, not {attribute!r}")
            return found
        from probe.images.quality.clip_score import ClipScorer

        if not self.values:
            raise OptionError("--clip needs --values: what it is to tell apart, as in woman,man")
        scorer = ClipScorer.load(part_folder(str(self.clip), "clip"), device=self.device)
        return ZeroShot(scorer, self.attribute or "value", self.values)


def look(opened: Opened, piece: Piece) -> Seen:
    """Open and label the images of a piece, as many at a time as fit in memory."""
    classifier, faces, margin = opened
    files, names = piece
    problems: dict[int, str] = {}
    rows: list[int] = []
    tables = []
    for batch in open_batches(files, batch_size=len(files), problems=problems):
        whole = list(batch.values())
        if faces is not None:
            classifier = FaceClassifier(classifier, faces, margin=margin, whole="")
        if isinstance(classifier, FaceClassifier):
            tables.append(classifier.label_opened(whole, names=[names[row] for row in batch]))
        else:
            tables.append(classifier.label(whole))
        rows += batch
    return rows, tables, problems


def part_folder(name: str, part: str) -> Path:
    """The folder of a model, or of the part of it that labels images."""
    from probe.text.checkpoints import resolve_model

    folder = resolve_model(name)
    return folder if (folder / "config.json").is_file() else folder / part
