"""From images to labels: a classifier labels each; missing labels are counted by reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.audit.labellers import FACE_MARGIN, Labeller, Opened, Seen, look
from probe.audit.readers.image_folders import ImageFolder, find_images
from probe.audit.readers.labels import SUBJECTS
from probe.audit.readers.selection import Selection
from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.faces.classifier import Classifier
from probe.images.missing_labels import AMBIGUOUS, MISSING, UNREADABLE, missing_reason
from probe.images.reading import ImageBytes
from probe.io.executors import Executor, Results
from probe.io.files import hash_file
from probe.io.progress import NamedProgress
from probe.stats.notation import counted

if TYPE_CHECKING:
    from probe.images.faces.face import FaceDetector

_N_PROBLEMS = 3


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
    executor: Executor | None = None,
) -> LabelTable:
    """Label the images of a folder by a classifier, or by a CLIP that tells values apart.

    Exactly one of ``classifier`` and ``clip`` is a folder, a hub id or ``"tinytown"``; a CLIP needs
    ``values``, e.g. ``["woman", "man"]``. With the name of a detector of
    `probe.images.faces.detectors.open_detector`, ``faces`` are labelled in place of whole images.
    See `label_images` for the rest, and `probe.images.onnx_classifier` for ONNX files. Workers of
    an ``executor`` open the same classifier by its name, and are sent the files.
    """
    labeller = Labeller(classifier, clip, attribute, values, faces, face_margin, device)
    opened, detector, margin = labeller.open()
    selection = selection or Selection()
    unknown = set(selection.renamed) - {name for of in opened.attributes.values() for name in of}
    if selection.is_strict and unknown:
        raise DataError(f"the classifier has no value {min(unknown)!r} for --map to rename")
    distribute = None
    if executor is not None:
        job = partial(labeller.open_on_worker, labeller.revision())
        distribute = partial(executor.map, job)
    labels = label_images(
        find_images(folder, selection),
        opened,
        min_confidence=min_confidence,
        faces=detector,
        face_margin=margin,
        renamed=selection.renamed,
        progress=progress,
        distribute=distribute,
    )
    return replace(labels, unused=frozenset(unknown))


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
    distribute: Callable[[Any], Results[int]] | None = None,
) -> LabelTable:
    """Label every image of a folder, or the face that is found in it.

    An image that cannot be opened counts as unreadable, and the first reasons are kept as notes. A
    value like "no face" and an image without a face count as undetected; a value below the wanted
    confidence and several faces alike (`probe.images.faces.face.crop_face`) as ambiguous. Files
    of the same content count once a subject. ``distribute`` labels pieces of ``batch_size`` images,
    as a worker of `label_folder` does.
    """
    import pandas as pd

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
    names = [images.name(row) for row in range(len(images))]
    codes = {name: np.full(len(images), _missing_code(UNREADABLE)) for name in seen_values}
    problems: dict[int, str] = {}
    hashes: dict[int, str] = {}
    here = classifier, faces, face_margin
    for rows, tables, unreadable in _seen(images, names, here, batch_size, distribute):
        problems |= unreadable
        hashes |= {row: hash_file(images.files[row]) for row in rows}
        for attribute, values in seen_values.items() if tables else ():
            labels = pd.concat(tables)[[attribute, f"{attribute}_confidence"]]
            codes[attribute][rows] = [
                _code(renamed.get(value, value), confidence, values, min_confidence)
                for value, confidence in labels.itertuples(index=False)
            ]
        if progress is not None:
            progress("labelling images", len(hashes) + len(problems), len(images))
    contents: dict[tuple[str, str], int] = {}
    for row, content in sorted(hashes.items()):
        contents.setdefault((images.subjects[row], content), row)
    problems = dict(sorted(problems.items()))
    if len(problems) == len(images):
        problem = next(iter(problems.values()))
        raise DataError(f"none of {len(images)} images can be opened; the first: {problem}")
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
        files=names,
    )
    return table.take(np.array(sorted({*problems, *contents.values()}))) if n_again else table


def _seen(
    images: ImageFolder,
    names: list[str],
    opened: Opened,
    batch_size: int,
    distribute: Callable[[Any], Results[int]] | None,
) -> Iterator[Seen]:
    """Look at pieces of a folder, in any order; positions are those in the folder."""
    pieces = (
        (start, (images.files[start : start + batch_size], names[start : start + batch_size]))
        for start in range(0, len(images), batch_size)
    )
    if distribute is None:
        found = ((start, look(opened, piece)) for start, piece in pieces)
    else:
        found = distribute(
            (start, ([ImageBytes.read(file) for file in files], of))
            for start, (files, of) in pieces
        )
    with closing(found):
        for start, (rows, tables, problems) in found:
            shifted = {start + row: problem for row, problem in problems.items()}
            yield [start + row for row in rows], tables, shifted


def _code(value: str, confidence: float, values: list[str], least: float) -> int:
    if (reason := missing_reason(value)) is None and confidence < least:
        reason = AMBIGUOUS
    return values.index(value) if reason is None else _missing_code(reason)


def _missing_code(reason: str) -> int:
    return -1 - MISSING.index(reason)
