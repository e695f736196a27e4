"""From what a user names to something that can be audited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from probe.audit.readers.counts import read_counts
from probe.audit.readers.labels import read_labels
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, OptionError
from probe.io.plugins import Registry
from probe.io.progress import NamedProgress

Source: TypeAlias = CountTable | LabelTable
"""What can be audited: counts of one attribute, or labels of several."""

READERS: Registry[Callable[..., Source]] = Registry("reader")
"""Readers of plugins, by the suffix of the files that they read, e.g. ``".rds"``; called with the
path and the keyword arguments ``attribute`` and ``values``."""

if TYPE_CHECKING:
    from probe.audit.picture_labels import Looker


def read_source(
    *,
    labels: Path | None = None,
    counts: Path | None = None,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
) -> Source:
    """Read labels or counts, whichever is named.

    Raises
    ------
    ValueError
        If not exactly one of them is, or its file is of another kind.
    DataError
        If the file is not what it must be.
    """
    path = counts if labels is None else labels
    if path is not None and path.suffix in READERS:
        return READERS[path.suffix](path, attribute=attribute, values=values)
    if labels is not None and counts is None:
        return read_labels(labels, attribute=attribute, values=values)
    if counts is not None and labels is None:
        return read_counts(counts, attribute=attribute or "value", values=values)
    raise OptionError("name labels or counts; needed exactly one of them")


def look_at_pictures(
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
    progress: NamedProgress | None = None,
) -> LabelTable:
    """Label the pictures of a folder by a classifier, or by a CLIP that tells values apart.

    Parameters
    ----------
    folder : Path
        As `probe.audit.readers.picture_folders.find_pictures` reads it.
    classifier, clip : str, optional
        Folder, hub id or ``"tinytown"``; exactly one of them.
    attribute : str, optional
        What the values are values of, where a CLIP looks; ``"value"`` if not given.
    values : sequence of str, optional
        What a CLIP tells apart, e.g. ``["woman", "man"]``; a classifier knows its own.
    min_confidence : float
        As for `probe.audit.picture_labels.look`.
    faces : str, optional
        Who finds the faces that are looked at, as for
        `probe.images.faces.detectors.open_detector`; whole pictures are looked at if not given.
    face_margin : float, optional
        Around a face, as a share of its size; 0.25 if not given.
    device : str
        Where the weights live.
    progress : callable, optional
        Called with (what is being done, how much is done, how much there is).

    Raises
    ------
    ValueError
        If it is not clear who looks.
    DataError
        If the folder holds no pictures.
    ModelError
        If a model cannot be opened.
    """
    from probe.audit.picture_labels import FACE_MARGIN, look
    from probe.audit.readers.picture_folders import find_pictures
    from probe.images.faces.detectors import open_detector

    if face_margin is not None and not faces:
        raise OptionError("--face-margin is for --faces")
    pictures = find_pictures(folder)
    detector = open_detector(faces) if faces else None
    looker = _looker(classifier, clip, attribute, values, device)
    return look(
        pictures,
        looker,
        min_confidence=min_confidence,
        faces=detector,
        face_margin=FACE_MARGIN if face_margin is None else face_margin,
        progress=None
        if progress is None
        else lambda done, total: progress("looking at pictures", done, total),
    )


def _looker(
    classifier: str | None,
    clip: str | None,
    attribute: str | None,
    values: Sequence[str] | None,
    device: str,
) -> Looker:
    if bool(classifier) == bool(clip):
        raise OptionError(
            "it is not clear who looks at the pictures; needed either --classifier FOLDER, or "
            "--clip FOLDER with --values woman,man"
        )
    if classifier:
        from probe.images.attributes import load_classifier

        if values is not None:
            raise OptionError("--values is for --clip and files; a classifier knows its own values")
        found = load_classifier(_part(classifier, "classifier"), device=device)
        if attribute is not None and attribute not in found.attributes:
            known = ", ".join(found.attributes)
            raise DataError(f"the classifier {classifier} knows {known}, not {attribute!r}")
        return found
    from probe.audit.picture_labels import ZeroShot
    from probe.images.quality.clip_score import ClipScorer

    if not values:
        raise OptionError("--clip needs --values: what it is to tell apart, as in woman,man")
    scorer = ClipScorer.load(_part(str(clip), "clip"), device=device)
    return ZeroShot(scorer, attribute or "value", values)


def _part(name: str, part: str) -> Path:
    """The folder of a model, or of the part of it that looks at pictures."""
    from probe.text.checkpoints import resolve_model

    folder = resolve_model(name)
    return folder if (folder / "config.json").is_file() else folder / part
