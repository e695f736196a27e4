"""Stage 5: fairness, picture quality and side effects, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probe.audit.fairness import MEASURES
from probe.io.artifacts import Provenance, hash_parts, read_json, write_json, write_table
from probe.run.config import settings_line
from probe.run.evaluation import evaluators
from probe.run.evaluation.drift import measure_drift
from probe.run.evaluation.equivalence import comparable_quality
from probe.run.evaluation.labels import LABELS, label_pictures, labels_made_from
from probe.run.evaluation.measurement import SIDES, SPLITS, Measurement
from probe.run.evaluation.misclassification import (
    calibration_line,
    classifier_error,
    load_calibration,
)
from probe.run.evaluation.perceptual import measure_perceptual
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.wording.comparable import comparable
from probe.run.wording.errors import classifier_error as told_error
from probe.run.wording.missing import missing as told_missing
from probe.run.wording.numbers import fine_interval

FAIRNESS = "evaluation/fairness.parquet"
SHARES = "evaluation/shares.parquet"
QUALITY = "evaluation/quality.json"
FILES = (LABELS, FAIRNESS, SHARES, QUALITY)


@dataclass(frozen=True)
class EvaluateResult:
    """Everything that ``evaluate --json`` prints."""

    quality: dict[str, Any]

    def summary(self) -> str:
        """One table: base, corrected, and the noise floor of what is measured."""
        quality = self.quality
        lines = [f"{'':<28}{'base':<26}{'corrected':<26}noise floor"]
        for split, title in zip(SPLITS, ("", ", trained on", ", held out"), strict=True):
            for measure in MEASURES if split == "all" else ("mad",):
                base, corrected = (
                    (quality[name] if split == "all" else quality[name][split])[measure]
                    for name in SIDES.values()
                )
                label = f"{measure.upper()}{title}"
                lines.append(
                    f"{label:<28}{_shown(base):<26}{_shown(corrected):<26}{base['floor']:.3f}"
                )
        for key, label in (
            ("subject_recognised", "occupation recognised"),
            ("explicit_adherence", "explicit prompts followed"),
            ("clip_score", "CLIP score"),
        ):
            base, corrected = (quality[name][key] for name in SIDES.values())
            lines.append(f"{label:<28}{_shown(base):<26}{_shown(corrected)}")
        change = quality["difference"]["mad"]
        lines.append(f"difference of MAD: {_shown(change)}, p = {change['p']:.2g}")
        lines += filter(None, [told_missing(quality), told_error(quality)])
        lines += filter(None, [comparable(quality)])
        for key, found in quality["failures"].items():
            lines.append(f"{key.replace('_', ' '):<28}{_shown(found)}")
        lines += _drift_lines(quality["quality"])
        return "\n".join(line.rstrip() for line in lines)

    def to_json(self) -> dict[str, Any]:
        """Every figure."""
        return self.quality


class Evaluate:
    """Label every picture, then measure."""

    name = "evaluate"

    def stale(self, run: Run) -> str | None:
        """Look at the four files."""
        if why := stale_files(run, labels_made_from(run), LABELS):
            return why
        return stale_files(run, self.made_from(run), FAIRNESS, SHARES, QUALITY)

    def make(self, run: Run) -> None:
        """Write the labels, if the pictures have not been looked at, and what follows from them."""
        from probe.images.quality.feature_cache import LookOnce

        config, made_from = run.config.evaluate, self.made_from(run)
        # All are opened before any is used, so that a wrong one is told before the long work.
        classifier, extractor = evaluators.load_classifier(run), evaluators.load_features(run)
        known = load_calibration(run, evaluators.by_column(classifier.attributes))
        labels = label_pictures(run, classifier)
        measured = Measurement(
            labels=labels,
            attributes=evaluators.by_column(classifier.attributes),
            attribute=config.attribute,
            asked={"female": config.female, "male": config.male},
            n_bootstrap=config.n_bootstrap,
            seed=config.seed,
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
            "quality": {
                **measure_drift(run, labels, extractor=looked),
                "perceptual": perceptual,
            },
            "model": run.config.model,
        }
        write_json(run.folder / QUALITY, quality, made("quality"))

    def result(self, run: Run) -> EvaluateResult:
        """Read the figures."""
        return EvaluateResult(read_json(run.folder / QUALITY, kind="quality")[0])

    def made_from(self, run: Run) -> str:
        """Hash of the settings and of what the labels are made from."""
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
            "evaluate, with drift, errors, feature maps, equivalence, by kind of caption",
            INTERVALS,
            settings,
            labels_made_from(run),
            *seen_in,
            *sample,
        )


def _shown(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _drift_lines(found: dict[str, Any]) -> list[str]:
    pairs = f"{found['n_pairs']} pairs of neutral pictures"
    if "fid" not in found:
        return [f"drift: {pairs} are too few for any figure", *_perceptual_lines(found)]
    figures = (
        *(("fid", "FID"), ("kid", "KID"), ("cmmd", "CMMD")),
        *(("precision", "precision"), ("recall", "recall")),
        *(("density", "density"), ("coverage", "coverage")),
        *(("paired", "1 - cosine of a pair"), ("unmoved", "pictures unmoved")),
    )
    lines = [f"drift from base to corrected, not quality: {pairs}, features {found['features']}"]
    lines += [f"{'  ' + label:<28}{fine_interval(found[name])}" for name, label in figures]
    return lines + _perceptual_lines(found)


def _perceptual_lines(found: dict[str, Any]) -> list[str]:
    by_kind = found["perceptual"]["kinds"]
    if not by_kind:
        return []
    return [
        "distance of a pair in feature maps (0 to 4; not LPIPS: no weights learned from people)",
        *(f"{'  ' + k:<28}{_shown(of)}  n = {of['n']}" for k, of in by_kind.items()),
    ]
