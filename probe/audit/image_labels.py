"""From images to labels: a classifier labels each; missing labels are counted by reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from probe.audit.readers.image_folders import ImageFolder, find_images
from probe.audit.readers.labels import SUBJECTS
from probe.audit.readers.selection import Selection
from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.faces.classifier import Classifier, FaceClassifier
from probe.images.missing_labels import AMBIGUOUS, MISSING, UNREADABLE, missing_reason
from probe.io.files import hash_file
from probe.io.progress import NamedProgress
from probe.stats.notation import counted

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from probe.images.faces.face import FaceDetector
    from probe.images.quality.clip_score import ClipScorer


FACE_MARGIN = 0.25
"""Around a face, as a share of its size, on each side; FairFace's crops have as much."""

_N_PROBLEMS = 3


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


def label_folder(
    folder: Path,
    *,
    classifier: str | None = None,
    clip: str | None = None,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
    min_confidence: float = 0.0,
    faces: str | None = None,
    face_margin: float | None = None,
    device: str = "cpu",
    selection: Selection | None = None,
    progress: NamedProgress | None = None,
) -> LabelTable:
    """Label the images of a folder by a classifier, or by a CLIP that tells values apart.

    Exactly one of ``classifier`` and ``clip`` is a folder, a hub id or ``"tinytown"``; a CLIP needs
    ``values``, e.g. ``["woman", "man"]``. With the name of a detector of
    `probe.images.faces.detectors.open_detector`, ``faces`` are labelled in place of whole images.
    See `label_images` for the rest, and `probe.images.onnx_classifier` for ONNX files.
    """
    from probe.images.faces.detectors import MEDIAPIPE, open_detector

    opened = _open_classifier(classifier, clip, attribute, values, device)
    own_margin = getattr(opened, "face_margin", None)
    if own_margin is not None:  # it was made for faces
        faces = faces or MEDIAPIPE
    if face_margin is not None and not faces:
        raise OptionError("--face-margin is for --faces")
    selection = selection or Selection()
    unknown = set(selection.renamed) - {name for of in opened.attributes.values() for name in of}
    if selection.is_strict and unknown:
        raise DataError(f"the classifier has no value {min(unknown)!r} for --map to rename")
    given = (margin for margin in (face_margin, own_margin) if margin is not None)
    return label_images(
        find_images(folder, selection),
        opened,
        min_confidence=min_confidence,
        faces=open_detector(faces) if faces else None,
        face_margin=next(given, FACE_MARGIN),
        renamed=selection.renamed,
        progress=progress,
    )


def label_images(
    images: ImageFolder,
    classifier: Classifier,
    *,
    min_confidence: float = 0.0,
    faces: FaceDetector | None = None,
    face_margin: float = FACE_MARGIN,
    batch_size: int = 128,
    renamed: Mapping[str, str] = MappingProxyType({}),
    progress: NamedProgress | None = None,
) -> LabelTable:
    """Label every image of a folder, or the face that is found in it.

    An image that cannot be opened counts as unreadable, and the first reasons are kept as notes. A
    value like "no face" and an image without a face count as undetected; a value below the wanted
    confidence and several faces alike (`probe.images.faces.face.crop_face`) as ambiguous. Files
    of the same content count once a subject.
    """
    from probe.images.reading import open_batches

    if not 0.0 <= min_confidence <= 1.0:
        raise OptionError(f"min_confidence is {min_confidence}; needed a number from 0 to 1")
    seen_values = {
        attribute: [
            value
            for value in dict.fromkeys(renamed.get(value, value) for value in values)
            if missing_reason(value) is None
        ]
        for attribute, values in classifier.attributes.items()
        if attribute not in SUBJECTS  # what a classifier takes the subject for is no trait of it
    }
    codes = {name: np.full(len(images), _missing_code(UNREADABLE)) for name in seen_values}
    problems: dict[int, str] = {}
    contents: dict[tuple[str, str], int] = {}
    for opened in open_batches(images.files, batch_size=batch_size, problems=problems):
        for row in opened:
            contents.setdefault((images.subjects[row], hash_file(images.files[row])), row)
        whole = list(opened.values())
        if faces is None:
            seen = classifier.label(whole)
        else:
            shown = FaceClassifier(classifier, faces, margin=face_margin, whole="")
            seen = shown.label_opened(whole, names=[images.name(row) for row in opened])
        for attribute, values in seen_values.items():
            labels = zip(seen[attribute], seen[f"{attribute}_confidence"], strict=True)
            codes[attribute][list(opened)] = [
                _code(renamed.get(value, value), confidence, values, min_confidence)
                for value, confidence in labels
            ]
        if progress is not None:
            progress("labelling images", max(opened) + 1, len(images))
    if len(problems) == len(images):
        first = next(iter(problems.values()))
        raise DataError(f"none of {len(images)} images can be opened; the first: {first}")
    subjects = {name: place for place, name in enumerate(dict.fromkeys(images.subjects))}
    notes = []
    if faces is not None:
        notes = [
            f"seen in the largest face, found by {faces.name}, with a margin of {face_margin:g}; a "
            "detector may miss one group more often than another: read with what nobody saw"
        ]
    notes += [f"unreadable: {problem}" for problem in list(problems.values())[:_N_PROBLEMS]]
    if len(problems) > _N_PROBLEMS:
        notes.append(f"unreadable: {len(problems) - _N_PROBLEMS} more")
    if n_again := len(images) - len(problems) - len(contents):
        again = counted(n_again, "images")
        notes.append(f"left out as copies of others of their subject: {again}")
    table = LabelTable(
        source=images.source,
        subjects=list(subjects),
        rows=np.array([subjects[name] for name in images.subjects]),
        values=seen_values,
        codes=codes,
        seeds=images.seeds,
        notes=(*images.notes, *notes),
        groups=images.groups,
        files=[images.name(row) for row in range(len(images))],
    )
    return table.take(np.array(sorted({*problems, *contents.values()}))) if n_again else table


def _open_classifier(
    classifier: str | None,
    clip: str | None,
    attribute: str | None,
    values: Sequence[str] | None,
    device: str,
) -> Classifier:
    if bool(classifier) == bool(clip):
        raise OptionError(
            "it is not clear what labels the images; needed either --classifier FOLDER, or "
            "--clip FOLDER with --values woman,man"
        )
    if classifier:
        from probe.images.attributes import load_classifier
        from probe.images.onnx_classifier import is_onnx

        if values is not None:
            raise OptionError("--values is for --clip and files; a classifier knows its own values")
        path = classifier if is_onnx(classifier) else _part(classifier, "classifier")
        found: Classifier = load_classifier(path, device=device)
        if attribute is not None and attribute not in found.attributes:
            known = ", ".join(found.attributes)
            raise DataError(f"the classifier {classifier} knows {known}, not {attribute!r}")
        return found
    from probe.images.quality.clip_score import ClipScorer

    if not values:
        raise OptionError("--clip needs --values: what it is to tell apart, as in woman,man")
    scorer = ClipScorer.load(_part(str(clip), "clip"), device=device)
    return ZeroShot(scorer, attribute or "value", values)


def _part(name: str, part: str) -> Path:
    """The folder of a model, or of the part of it that labels images."""
    from probe.text.checkpoints import resolve_model

    folder = resolve_model(name)
    return folder if (folder / "config.json").is_file() else folder / part


def _code(value: str, confidence: float, values: list[str], least: float) -> int:
    if (reason := missing_reason(value)) is None and confidence < least:
        reason = AMBIGUOUS
    return values.index(value) if reason is None else _missing_code(reason)


def _missing_code(reason: str) -> int:
    return -1 - MISSING.index(reason)
