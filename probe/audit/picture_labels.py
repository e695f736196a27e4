"""From pictures to labels: a classifier labels each; missing labels are counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from probe.audit.readers.labels import SUBJECTS
from probe.audit.readers.picture_folders import PictureFolder
from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import AMBIGUOUS, MISSING, UNREADABLE, missing_reason
from probe.io.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from probe.images.faces.face import FaceDetector
    from probe.images.quality.clip_score import ClipScorer


FACE_MARGIN = 0.25
"""Around a face, as a share of its size, on each side; FairFace's crops have as much."""

_N_PROBLEMS = 3


class Looker(Protocol):
    """Who looks at pictures: `probe.AttributeClassifier`, `ZeroShot`, or anything alike."""

    @property
    def attributes(self) -> dict[str, list[str]]:
        """The values of each attribute."""

    def label(self, images: Sequence[Image], /) -> pd.DataFrame:
        """For each attribute a column of its name and one ``<attribute>_confidence``."""


class ZeroShot:
    """Zero-shot classification of one attribute by a CLIP, with a sentence for each value.

    Parameters
    ----------
    scorer : ClipScorer
    attribute : str
    values : sequence of str
        At least 2; nouns, as in ``"woman"``, or sentences with a space.
    template : str
        What CLIP compares with, ``{value}`` for the value, with its article.

    References
    ----------
    Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021,
    section 3.1.
    """

    def __init__(
        self,
        scorer: ClipScorer,
        attribute: str,
        values: Sequence[str],
        *,
        template: str = "a photo of a {value}",
    ) -> None:
        from probe.text.templates import fill

        if len(set(values)) < 2 or len(set(values)) < len(values):
            raise OptionError(f"values are {list(values)}; needed at least 2, and no two the same")
        self.attributes = {attribute: list(values)}
        self._attribute, self._scorer = attribute, scorer
        self._prompts = [fill(template, value=value) for value in values]

    def label(self, images: Sequence[Image], /) -> pd.DataFrame:
        """Say which value each picture shows most probably, and how probably."""
        import pandas as pd

        weights = self._scorer.weigh(images, self._prompts)
        values = self.attributes[self._attribute]
        return pd.DataFrame(
            {
                self._attribute: [values[best] for best in weights.argmax(axis=1)],
                f"{self._attribute}_confidence": weights.max(axis=1),
            }
        )


def look(
    pictures: PictureFolder,
    looker: Looker,
    *,
    min_confidence: float = 0.0,
    faces: FaceDetector | None = None,
    face_margin: float = FACE_MARGIN,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> LabelTable:
    """Label every picture of a folder.

    A picture that cannot be opened is counted as unreadable and its reason kept among the notes; a
    value like "no face" counts as undetected, one below the wanted confidence as ambiguous.

    Parameters
    ----------
    pictures : PictureFolder
    looker : Looker
    min_confidence : float, default=0
        Probability of the most probable value, below which a picture counts as ambiguous.
    faces : FaceDetector, optional
        Finds the face of each picture that is then looked at in place of the whole; a picture
        without one counts as undetected, one of several alike as ambiguous, see
        `probe.images.faces.face.seen_face`.
    face_margin : float, default=0.25
        Around a face, as a share of its size.
    batch_size : int, default=128
        Pictures in memory at a time.
    progress : callable, optional
        Called with (done, total) pictures.

    Returns
    -------
    LabelTable
        A row for each picture of the folder.

    Raises
    ------
    DataError
        If no picture can be opened.
    ValueError
        If the confidence is no probability.
    """
    from probe.images.faces.face import seen_face
    from probe.images.pictures import open_picture

    if not 0.0 <= min_confidence <= 1.0:
        raise OptionError(f"min_confidence is {min_confidence}; needed a number from 0 to 1")
    seen_values = {
        attribute: [value for value in values if missing_reason(value) is None]
        for attribute, values in looker.attributes.items()
        if attribute not in SUBJECTS  # what a classifier takes the subject for is no trait of it
    }
    unreadable = -1 - MISSING.index(UNREADABLE)
    codes = {attribute: np.full(len(pictures), unreadable) for attribute in seen_values}
    problems: list[str] = []
    for start in range(0, len(pictures), batch_size):
        opened, rows = [], []
        for row, file in enumerate(pictures.files[start : start + batch_size], start):
            try:
                opened.append(open_picture(file))
                rows.append(row)
            except DataError as error:
                problems.append(str(error))
        if faces is not None:
            found = faces.find(opened, names=[pictures.name(row) for row in rows])
            seen_in = {
                row: seen_face(picture, of, margin=face_margin)
                for row, picture, of in zip(rows, opened, found, strict=True)
            }
            for row, face in seen_in.items():
                if isinstance(face, str):
                    for of_attribute in codes.values():
                        of_attribute[row] = -1 - MISSING.index(face)
            clear = {row: face for row, face in seen_in.items() if not isinstance(face, str)}
            rows, opened = list(clear), list(clear.values())
        if opened:
            seen = looker.label(opened)
            for attribute, values in seen_values.items():
                codes[attribute][rows] = [
                    _code(value, confidence, values, min_confidence)
                    for value, confidence in zip(
                        seen[attribute], seen[f"{attribute}_confidence"], strict=True
                    )
                ]
        if progress is not None:
            progress(min(start + batch_size, len(pictures)), len(pictures))
    if len(problems) == len(pictures):
        raise DataError(f"none of {len(pictures)} pictures can be opened; the first: {problems[0]}")
    subjects = {name: place for place, name in enumerate(dict.fromkeys(pictures.subjects))}
    notes = [f"unreadable: {problem}" for problem in problems[:_N_PROBLEMS]]
    if faces is not None:
        notes.insert(0, _face_note(faces.name, face_margin))
    if len(problems) > _N_PROBLEMS:
        notes.append(f"unreadable: {len(problems) - _N_PROBLEMS} more")
    return LabelTable(
        source=pictures.source,
        subjects=list(subjects),
        rows=np.array([subjects[name] for name in pictures.subjects]),
        values=seen_values,
        codes=codes,
        seeds=pictures.seeds,
        notes=(*pictures.notes, *notes, *_repeated(pictures.files)),
    )


def _code(value: str, confidence: float, values: list[str], least: float) -> int:
    if (reason := missing_reason(value)) is None and confidence < least:
        reason = AMBIGUOUS
    return values.index(value) if reason is None else -1 - MISSING.index(reason)


def _face_note(name: str, margin: float) -> str:
    return (
        f"seen in the largest face, found by {name}, with a margin of {margin:g}; a detector may "
        "miss one group more often than another: read the figures with what nobody saw"
    )


def _repeated(files: list[Path]) -> list[str]:
    n_repeated = sum(n - 1 for n in Counter(files).values())
    text = f"{n_repeated} pictures are named more than once and count each time"
    return [text] if n_repeated else []
