"""The models that look at the images of a run, and what they see in each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from probe.errors import DataError, ModelError
from probe.images.onnx_classifier import is_named, named_revision, own_face_margin
from probe.images.plan import read_metadata
from probe.images.reading import ImageBytes, Images
from probe.io.artifacts import hash_parts, read_table, write_table
from probe.io.executors import Results, equal_parts, refuse_other
from probe.run.evaluation.corrected import seen_attributes
from probe.run.files import LABELS, SIDES
from probe.run.folder import Run, stale_files
from probe.text.checkpoints import model_revision, resolve_model

if TYPE_CHECKING:
    from probe.images.attributes import AttributeClassifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.onnx_classifier import OnnxClassifier
    from probe.images.quality.clip_score import ClipScorer
    from probe.images.quality.features import FeatureExtractor
    from probe.images.skin_tone import SkinTone
    from probe.text.lexicon import Lexicon

    WholeClassifier = AttributeClassifier | OnnxClassifier | SkinTone
    Classifier = WholeClassifier | FaceClassifier
    OpenHere = Callable[[], tuple[Classifier, ClipScorer]]

Piece = tuple[Images, list[str]]
"""Images of a piece, and their prompts."""

_PIECES = "evaluation/pieces"
_WORK = "looking at images"
_PIECE = 500  # images; a piece that is done is not done again

SUBJECT = "subject"
SUBJECT_SEEN = "subject_seen"
"""What tables call the subject that a classifier sees; ``subject`` is the one asked for."""


def evaluator_folder(run: Run, name: str) -> Path:
    """Find the ``classifier`` that scores, the ``selector``, ``clip`` or ``features`` (CLIP's).

    The ``selector`` is the classifier that chooses training images and settings. Of a model with
    two classifiers, trained apart, the first selects and ``second_classifier`` scores: otherwise
    the correction would be rewarded for the errors of its judge. A classifier that is no folder
    (`probe.images.onnx_classifier.is_named`) is its name or file.
    """
    of_model = run.model_folder / "classifier"
    if name == "selector":
        if run.config.train.classifier:
            return _find(run.config.train.classifier)
        return of_model if of_model.is_dir() else evaluator_folder(run, "classifier")
    if chosen := getattr(run.config.evaluate, name):
        return _find(chosen) if name == "classifier" else resolve_model(chosen)
    if name == "classifier" and (second := run.model_folder / "second_classifier").is_dir():
        return second
    if name == "features":
        return evaluator_folder(run, "clip")
    folder = run.model_folder / name
    if not folder.is_dir():
        what = "an image classifier" if name == "classifier" else "a CLIP model"
        raise ModelError(
            f"model {run.config.model} ships no {name}; needed {what} to look at its images: set "
            f"`{name}` under [evaluate] in {run.folder / 'config.toml'} to a folder or a hub id"
        )
    return folder


def evaluator_revision(folder: Path) -> str:
    """Name the exact weights and configuration of what `evaluator_folder` found."""
    return named_revision(folder) if is_named(folder) else model_revision(folder)


def evaluators_line(run: Run, *names: str) -> str:
    """Which weights look at the images as what `evaluator_folder` names, to be hashed with that."""
    folders = [evaluator_folder(run, name) for name in names]
    return ", ".join(
        run.revision if folder.is_relative_to(run.model_folder) else evaluator_revision(folder)
        for folder in folders
    )


def faces_line(run: Run) -> str:
    """Which faces the classifier is shown, to be hashed with what it says; empty if none."""
    from probe.images.faces.detectors import detector_line, is_boxes

    detector, margin = _faces(run)
    if not detector:
        return ""
    if is_boxes(detector):
        raise DataError(
            f"faces is {detector!r}, boxes of certain images; a run makes its own: set it to "
            "mediapipe, or to the weights of its face detector (.tflite)"
        )
    return f", {detector_line(detector)} margin={margin}"


def seen_by(run: Run) -> str:
    """Which models look at the images, and at which faces, to be hashed with what they see."""
    return evaluators_line(run, "classifier", "clip") + faces_line(run)


def load_classifier(run: Run) -> Classifier:
    """Open the classifier that measures; see `faces_line` for whether it is shown faces only."""
    classifier = load_whole_classifier(run)
    if not faces_line(run):
        return classifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.faces.detectors import open_detector

    detector, margin = _faces(run)
    return FaceClassifier(classifier, open_detector(detector), margin=margin, whole=SUBJECT)


def classifier_names(run: Run, *, was_taught: bool) -> dict[str, str]:
    """Name the classifier that scores, that selected training images, and that taught the experts.

    The last two are the same one; empty where it did neither.
    """
    names = {}
    chosen = {"classifier": run.config.evaluate.classifier, "selector": run.config.train.classifier}
    for role, given in chosen.items():
        folder = evaluator_folder(run, role)
        is_own = folder.is_relative_to(run.model_folder)
        given = given or run.config.evaluate.classifier
        names[role] = folder.name if is_own or Path(given).exists() else given
    selects = run.config.train.needs_pictures and not run.config.train.examples
    return {
        "scores": names["classifier"],
        "selects": names["selector"] if selects else "",
        "teaches": names["selector"] if was_taught else "",
    }


def load_whole_classifier(run: Run, role: str = "classifier") -> WholeClassifier:
    """Open a classifier, shown whole images, unless a copy of the run has opened it.

    ``role`` is ``"classifier"`` or ``"selector"``; see `evaluator_folder`.
    """
    from probe.images.attributes import load_classifier

    folder = evaluator_folder(run, role)
    if folder not in run.classifiers:
        run.classifiers[folder] = load_classifier(folder, device=run.device)
    classifier: WholeClassifier = run.classifiers[folder]
    seen_attributes(run, classifier.attributes)
    return classifier


def load_clip(run: Run) -> ClipScorer:
    """Open the CLIP that scores images against prompts."""
    from probe.images.quality.clip_score import ClipScorer

    return ClipScorer.load(evaluator_folder(run, "clip"), device=run.device)


def load_features(run: Run) -> FeatureExtractor:
    """Open the model in whose features drift is measured."""
    from probe.images.quality.features import FeatureExtractor

    return FeatureExtractor.load(evaluator_folder(run, "features"), device=run.device)


def column(name: str) -> str:
    """Name of a classifier's column in our tables, where ``subject`` is taken."""
    return name.replace(SUBJECT, SUBJECT_SEEN, 1) if name.partition("_")[0] == SUBJECT else name


def labels_made_from(run: Run) -> str:
    """Hash everything the labels depend on: the images and which models look at them."""
    return hash_parts(
        "labels",
        seen_by(run),
        repr(run.lexicon),
        run.hashes(*(f"images/{side}/metadata.jsonl" for side in SIDES)),
    )


def label_images(run: Run, classifier: Classifier) -> pd.DataFrame:
    """Label and score all images of both sides, and keep what was seen; one row an image.

    Columns: ``side, kind, subject, split, seed, prompt, file_name, key``, one an attribute and one
    its ``_confidence``, ``clip_score``. Where faces are looked at, an image without a clear one has
    ``"undetected"`` or ``"ambiguous"`` in place of a value.
    """
    made_from = labels_made_from(run)
    if stale_files(run, made_from, LABELS) is not None:
        table = _images(run)
        labels = table.merge(_look(run, table, classifier), on="key", how="left")
        write_table(run.folder / LABELS, labels, run.provenance("labels", made_from))
    shutil.rmtree(run.folder / _PIECES, ignore_errors=True)
    return read_table(run.folder / LABELS, kind="labels")[0]


def subjects_by_clip(lexicon: Lexicon, files: Images, clip: ClipScorer) -> list[str]:
    """The subject that CLIP sees, of all of a lexicon, where the classifier knows none."""
    subjects = list(lexicon.split_of)
    prompts = [lexicon.neutral_prompt(subject, "test") for subject in subjects]
    weights = clip.weigh(files, prompts)
    return [subjects[position] for position in weights.argmax(axis=1)]


def _find(classifier: str) -> Path:
    return Path(classifier) if is_named(classifier) else resolve_model(classifier)


def _faces(run: Run) -> tuple[str, float]:
    """Name or weights of the detector, empty for whole images, and the margin around a face."""
    from probe.images.faces.detectors import MEDIAPIPE

    config = run.config.evaluate
    if not config.faces and (margin := own_face_margin(config.classifier)) is not None:
        return MEDIAPIPE, margin
    is_name = config.faces in ("", MEDIAPIPE)
    return config.faces if is_name else str(run.path(config.faces)), config.face_margin


def _look(run: Run, table: pd.DataFrame, classifier: Classifier) -> pd.DataFrame:
    """What is seen in each distinct image, by its key."""
    # The same key is the same image: of those that the correction left alone, one is enough.
    distinct = table.drop_duplicates("key").reset_index(drop=True)
    models = seen_by(run)
    parts = [distinct.iloc[part] for part in equal_parts(len(distinct), _PIECE)]
    hashes = [hash_parts(models, *rows["key"]) for rows in parts]
    paths = [run.folder / _PIECES / f"{made_from}.parquet" for made_from in hashes]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    pieces = ((number, _files_and_prompts(run, parts[number])) for number in missing)
    found = _look_at(run, pieces, lambda: (classifier, load_clip(run)))
    done, progress = len(distinct) - sum(len(parts[n]) for n in missing), run.progress_on(_WORK)
    with closing(found):
        for number, seen in found:
            seen["key"] = parts[number]["key"].to_numpy()
            write_table(paths[number], seen, run.provenance("piece", hashes[number]))
            done += len(seen)
            if progress is not None:
                progress(done, len(distinct))
    return pd.concat([read_table(path, kind="piece")[0] for path in paths])


def _files_and_prompts(run: Run, rows: pd.DataFrame) -> tuple[list[Path], list[str]]:
    names = zip(rows["side"], rows["file_name"], strict=True)
    return [run.folder / "images" / side / name for side, name in names], rows["prompt"].tolist()


def look_at(run: Run, files: list[Path], prompts: list[str], open_here: OpenHere) -> pd.DataFrame:
    """Labels and CLIP scores of images, in their order; workers open the models themselves."""
    parts = enumerate(equal_parts(len(files), _PIECE))
    pieces = ((number, (files[part], prompts[part])) for number, part in parts)
    with closing(_look_at(run, pieces, open_here)) as found:
        return pd.concat([seen for _, seen in sorted(found)], ignore_index=True)


def _look_at(
    run: Run, pieces: Iterable[tuple[int, tuple[list[Path], list[str]]]], open_here: OpenHere
) -> Results[int]:
    """Yield the number of each piece, and a row an image, in any order."""
    if run.distribute is None:
        here = *open_here(), run.lexicon
        return ((number, _see(*here, *piece)) for number, piece in pieces)
    read = ((n, ([ImageBytes.read(file) for file in files], of)) for n, (files, of) in pieces)
    return run.distribute(partial(open_models, run.lexicon, seen_by(run)), read)


def open_models(lexicon: Lexicon, models: str, run: Run) -> Callable[[Piece], pd.DataFrame]:
    """Open the models of `seen_by` on a worker, which looks at contents of files."""
    refuse_other("the classifier and the CLIP", seen_by(run), models)
    there = load_classifier(run), load_clip(run), lexicon
    return lambda piece: _see(*there, *piece)


def _see(
    classifier: Classifier,
    clip: ClipScorer,
    lexicon: Lexicon,
    files: Images,
    prompts: list[str],
) -> pd.DataFrame:
    seen = classifier.label(files).rename(columns=column)
    if SUBJECT not in classifier.attributes:
        seen[SUBJECT_SEEN] = subjects_by_clip(lexicon, files, clip)
    seen["clip_score"] = clip.score(files, prompts)
    return seen


def _images(run: Run) -> pd.DataFrame:
    sides = []
    for side in SIDES:
        table = read_metadata(run.folder / "images" / side)
        sides.append(table.assign(side=side, split=table["subject"].map(run.lexicon.split_of)))
    columns = ["side", "kind", "subject", "split", "seed", "prompt", "file_name", "key"]
    return pd.concat(sides, ignore_index=True)[columns]
