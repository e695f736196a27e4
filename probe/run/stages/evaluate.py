"""Stage 5: fairness, picture quality and side effects, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probe.io.artifacts import Provenance, hash_parts, read_json, write_json, write_table
from probe.run.config import settings_line
from probe.run.evaluation import evaluators
from probe.run.evaluation.drift import MIN_SUBJECTS, measure_drift
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
from probe.run.wording.terms import DRIFT
from probe.stats.notation import interval

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
        lines = [f"{'95 % intervals, over n':<28}{'base':<26}{'corrected':<26}{'noise floor':<13}n"]
        for split, title in zip(SPLITS, ("", ", trained on", ", held out"), strict=True):
            base, corrected = (
                (quality[name] if split == "all" else quality[name][split])["mad"]
                for name in SIDES.values()
            )
            shown = f"{_shown(base):<26}{_shown(corrected):<26}{base['floor']:<13.3f}"
            lines.append(f"{'MAD' + title:<28}{shown}{_over(base)}")
        for key, label in (
            ("subject_recognised", "occupation recognised"),
            ("explicit_adherence", "explicit prompts followed"),
            ("clip_score", "CLIP score"),
        ):
            base, corrected = (quality[name][key] for name in SIDES.values())
            shown = f"{_shown(base):<26}{_shown(corrected):<26}"
            lines.append(f"{label:<28}{shown}{'':<13}{_over(base)}")
        change = quality["difference"]["mad"]
        lines.append(f"difference of MAD: {_shown(change)}, p = {change['p']:.2g}")
        lines += filter(None, [told_missing(quality), told_error(quality)])
        lines += filter(None, [comparable(quality)])
        for key, found in quality["failures"].items():
            lines.append(f"{key.replace('_', ' '):<28}{_shown(found):<26}{_over(found)}")
        lines += _drift_lines(quality["drift"])
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
            "evaluate: every interval over subjects",
            INTERVALS,
            settings,
            labels_made_from(run),
            *seen_in,
            *sample,
        )


def _shown(found: dict[str, Any]) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _drift_lines(found: dict[str, Any]) -> list[str]:
    """How far the pictures move: as sets, pair by pair, and in all layers by kind of prompt."""
    lines = [f"drift from base to corrected, not quality, in features of {found['features']}:"]
    if "frechet" not in found:
        lines = [f"drift: no figure of fewer than {MIN_SUBJECTS} occupations"]
    lines += [
        f"{'  ' + name.lower():<28}{interval(found[key]):<26}{_over(found[key])}"
        for key, (name, _) in DRIFT.items()
        if key in found
    ]
    by_kind = found["perceptual"]["kinds"]
    if by_kind:
        lines.append(
            "distance of a pair in feature maps (0 to 4; not LPIPS: no weights learned from people)"
        )
    lines += [f"{'  ' + kind:<28}{_shown(of):<26}{_over(of)}" for kind, of in by_kind.items()]
    return lines


def _over(found: dict[str, Any]) -> str:
    """What the interval is over, e.g. ``40 occupations, 640 images``."""
    if "n" not in found:  # overfitting compares two groups
        return f"{found['n_trained']} and {found['n_held_out']} {found['unit']}"
    images = {"n_images": "images", "n_pairs": "pairs"}
    counted = [f"{found[key]:,} {name}" for key, name in images.items() if key in found]
    return ", ".join([f"{found['n']:,} {found['unit']}", *counted])
