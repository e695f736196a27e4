"""Stage 5: fairness, picture quality and side effects, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.io.files import hash_parts
from probe.io.settings import settings_line
from probe.run.evaluation.config import EvaluateConfig
from probe.run.files import FAIRNESS, LABELS, QUALITY, SHARES
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.registry import Stage, register

if TYPE_CHECKING:
    from probe.io.artifacts import Provenance


@dataclass(frozen=True)
class EvaluateResult:
    """Everything that ``evaluate --json`` prints."""

    quality: dict[str, Any]

    def summary(self) -> str:
        """One line; `figures.text.evaluation` writes everything."""
        from probe.run.evaluation.measurement import SIDES

        mad = [self.quality[side]["mad"]["value"] for side in SIDES.values()]
        return "MAD {:.3f} before and {:.3f} after the correction".format(*mad)

    def to_json(self) -> dict[str, Any]:
        """Every figure."""
        return self.quality


@register
class Evaluate(Stage):
    """Label every picture, then measure."""

    name = "evaluate"
    about = "Measure fairness, quality and side effects, with intervals."
    requires = ("generate",)
    settings = EvaluateConfig

    def check(self, run: Run) -> None:
        """Open the classifier, and read the sample of its errors."""
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.misclassification import load_calibration

        attributes = evaluators.load_classifier(run).attributes
        load_calibration(run, evaluators.by_column(attributes))

    def stale(self, run: Run) -> str | None:
        """Look at the four files."""
        from probe.run.evaluation.labels import labels_made_from

        if why := stale_files(run, labels_made_from(run), LABELS):
            return why
        return stale_files(run, self.made_from(run), FAIRNESS, SHARES, QUALITY)

    def make(self, run: Run) -> None:
        """Write the labels, if the pictures have not been looked at, and what follows from them."""
        from probe.images.quality.feature_cache import LookOnce
        from probe.io.artifacts import write_json, write_table
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.drift import measure_drift
        from probe.run.evaluation.equivalence import comparable_quality
        from probe.run.evaluation.labels import label_pictures
        from probe.run.evaluation.measurement import SIDES, Measurement
        from probe.run.evaluation.misclassification import classifier_error, load_calibration
        from probe.run.evaluation.perceptual import measure_perceptual

        config, made_from = run.config.evaluate, self.made_from(run)
        # All are opened before any is used, so that a wrong one is reported before the long work.
        classifier, extractor = evaluators.load_classifier(run), evaluators.load_features(run)
        known = load_calibration(run, evaluators.by_column(classifier.attributes))
        labels = label_pictures(run, classifier)
        measured = Measurement(
            labels=labels,
            attributes=evaluators.by_column(classifier.attributes),
            attribute=config.attribute,
            asked={"female": config.female, "male": config.male},
            resampling=config.resampling,
            in_faces=bool(config.faces),
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
        looked = LookOnce(extractor)
        perceptual = measure_perceptual(run, labels, extractor=looked)  # the maps come first
        quality = {
            **figures,
            **errors,
            "drift": {**measure_drift(run, labels, extractor=looked), "perceptual": perceptual},
            "model": run.config.model,
        }
        write_json(run.folder / QUALITY, quality, made("quality"))

    def result(self, run: Run) -> EvaluateResult:
        """Read the figures."""
        from probe.io.artifacts import read_json

        return EvaluateResult(read_json(run.folder / QUALITY, kind="quality")[0])

    def made_from(self, run: Run) -> str:
        """Hash the settings and what the labels are made from."""
        from probe.run.evaluation import evaluators
        from probe.run.evaluation.labels import labels_made_from
        from probe.run.evaluation.misclassification import calibration_line

        config = run.config.evaluate
        settings = settings_line(
            config, without=("features", "calibration", "faces", "face_margin")
        )
        seen_in = (
            [evaluators.evaluators_line(run, evaluators.features_folder(run))]
            if config.features
            else []
        )
        sample = [calibration_line(run), "by split"] if config.calibration else []
        return hash_parts(
            "evaluate: every interval over subjects",
            INTERVALS,
            settings,
            labels_made_from(run),
            *seen_in,
            *sample,
        )
