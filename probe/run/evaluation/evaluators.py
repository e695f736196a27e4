"""The models that look at images: the run's choice, or what the image model ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import DataError, ModelError
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.attributes import AttributeClassifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.quality.clip_score import ClipScorer
    from probe.images.quality.features import FeatureExtractor

SUBJECT = "subject"
SUBJECT_SEEN = "subject_seen"
"""What tables call the subject that a classifier sees; ``subject`` is the one asked for."""


def evaluator_folder(run: Run, name: str) -> Path:
    """Find the ``classifier``, the ``clip`` or the vision model of ``features`` of a run.

    Features are CLIP's unless the settings name a model.
    """
    from probe.text.checkpoints import resolve_model

    if chosen := getattr(run.config.evaluate, name):
        return resolve_model(chosen)
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


def evaluators_line(run: Run, *folders: Path) -> str:
    """Which weights look at the images, to be hashed with what they say."""
    from probe.text.checkpoints import model_revision

    return ", ".join(
        run.revision if folder.is_relative_to(run.model_folder) else model_revision(folder)
        for folder in folders
    )


def faces_line(run: Run) -> str:
    """Which faces the classifier is shown, to be hashed with what it says; empty if none.

    A setting that names boxes is refused with a `DataError`: they are of certain images.
    """
    from probe.images.faces.detectors import detector_line, is_boxes

    config = run.config.evaluate
    if not config.faces:
        return ""
    if is_boxes(config.faces):
        raise DataError(
            f"faces is {config.faces!r}, boxes of certain images; a run makes its own: set it to "
            "mediapipe, or to the weights of its face detector (.tflite)"
        )
    return f", {detector_line(_detector(run))} margin={config.face_margin}"


def load_classifier(run: Run) -> AttributeClassifier | FaceClassifier:
    """Open the classifier that measures: with the setting ``faces`` it is shown faces only."""
    classifier, config = load_whole_classifier(run), run.config.evaluate
    if not faces_line(run):
        return classifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.faces.detectors import open_detector

    return FaceClassifier(
        classifier, open_detector(_detector(run)), margin=config.face_margin, whole=SUBJECT
    )


def load_whole_classifier(run: Run) -> AttributeClassifier:
    """Open the classifier, shown whole images, unless a copy of the run has opened it.

    One that lacks the attribute, or one of the two values that prompts ask for, is refused with a
    `DataError`.
    """
    from probe.images.attributes import load_classifier

    folder, config = evaluator_folder(run, "classifier"), run.config.evaluate
    if folder not in run.classifiers:
        run.classifiers[folder] = load_classifier(folder, device=run.device)
    classifier: AttributeClassifier = run.classifiers[folder]
    known = classifier.attributes
    if config.attribute not in known:
        raise DataError(
            f"the classifier in {folder} knows {', '.join(known)} but not {config.attribute!r}; "
            f"set `attribute` under [evaluate] in {run.folder / 'config.toml'}"
        )
    for name in ("female", "male"):
        if (value := getattr(config, name)) not in known[config.attribute]:
            raise DataError(
                f"the classifier in {folder} knows {config.attribute} as "
                f"{', '.join(known[config.attribute])}, not as {value!r}; set `{name}` under "
                f"[evaluate] in {run.folder / 'config.toml'}"
            )
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


def _detector(run: Run) -> str:
    """The detector's name, or the path of its weights."""
    faces: str = run.config.evaluate.faces
    return faces if faces in ("", "mediapipe") else str(run.path(faces))
