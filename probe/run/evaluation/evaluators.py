"""The models that look at the images of a run, and what they see in each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import DataError, ModelError
from probe.images.classifier_names import is_named, named_revision
from probe.images.onnx_classifier import own_face_margin
from probe.run.evaluation.corrected import corrected_attributes
from probe.run.folder import Run
from probe.text.checkpoints import model_revision, resolve_model

if TYPE_CHECKING:
    from probe.images.attributes import AttributeClassifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.onnx_classifier import OnnxClassifier
    from probe.images.quality.clip_score import ClipScorer
    from probe.images.quality.features import FeatureExtractor
    from probe.images.skin_tone import SkinTone

    WholeClassifier = AttributeClassifier | OnnxClassifier | SkinTone
    Classifier = WholeClassifier | FaceClassifier

SUBJECT = "subject"
SUBJECT_SEEN = "subject_seen"
"""What tables call the subject that a classifier sees; ``subject`` is the one asked for."""


def evaluator_folder(run: Run, name: str) -> Path:
    """Find the ``classifier`` that scores, the ``selector``, ``clip`` or ``features`` (CLIP's).

    The ``selector`` is the classifier that chooses training images and settings. Of a model with
    two classifiers, trained apart, the first selects and ``second_classifier`` scores: otherwise
    the correction would be rewarded for the errors of its judge. A classifier that is no folder
    (`probe.images.classifier_names`) is its name or file.
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


def evaluators_line(run: Run, *folders: Path) -> str:
    """Which weights look at the images, to be hashed with what they say."""
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
    folders = (evaluator_folder(run, name) for name in ("classifier", "clip"))
    return evaluators_line(run, *folders) + faces_line(run)


def load_classifier(run: Run) -> Classifier:
    """Open the classifier that measures; see `faces_line` for whether it is shown faces only."""
    classifier = load_whole_classifier(run)
    if not faces_line(run):
        return classifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.faces.detectors import open_detector

    detector, margin = _faces(run)
    return FaceClassifier(classifier, open_detector(detector), margin=margin, whole=SUBJECT)


def classifier_names(run: Run) -> dict[str, str]:
    """Name the classifier that scores, and the one that selected training images (empty: none)."""
    names = {}
    chosen = {"classifier": run.config.evaluate.classifier, "selector": run.config.train.classifier}
    for role, given in chosen.items():
        folder = evaluator_folder(run, role)
        is_own = folder.is_relative_to(run.model_folder)
        given = given or run.config.evaluate.classifier
        names[role] = folder.name if is_own or Path(given).exists() else given
    needs = run.config.train.needs_pictures and not run.config.train.examples
    return {"scores": names["classifier"], "selects": names["selector"] if needs else ""}


def load_whole_classifier(run: Run, role: str = "classifier") -> WholeClassifier:
    """Open a classifier, shown whole images, unless a copy of the run has opened it.

    ``role`` is ``"classifier"`` or ``"selector"``; see `evaluator_folder`.
    """
    from probe.images.attributes import load_classifier

    folder = evaluator_folder(run, role)
    if folder not in run.classifiers:
        run.classifiers[folder] = load_classifier(folder, device=run.device)
    classifier: WholeClassifier = run.classifiers[folder]
    corrected_attributes(run, classifier.attributes)
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
