"""The classifier's errors in a run: corrected by a labelled sample, or how large they may be."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probe.audit.fairness import paired_difference
from probe.audit.misclassification.corrected import (
    calibrated_difference,
    calibrated_figures,
    calibrated_share,
    usable_rates,
)
from probe.audit.misclassification.sample import Calibration, read_calibration
from probe.audit.misclassification.sensitivity import difference_holds_up_to
from probe.errors import DataError
from probe.io.artifacts import hash_file
from probe.run.evaluation.measurement import SIDES, Measurement
from probe.run.folder import Run

Found = dict[str, Any]


def calibration_line(run: Run) -> str:
    """What the run's labelled sample says, to be hashed with the settings."""
    return hash_file(_sample(run))


def load_calibration(run: Run, attributes: Mapping[str, list[str]]) -> Calibration | None:
    """Read the run's labelled sample; one that is damaged or too small is refused."""
    config = run.config.evaluate
    if not config.calibration:
        return None
    known = read_calibration(_sample(run), values=attributes[config.attribute])
    usable_rates(known)
    return known


def classifier_error(measured: Measurement, known: Calibration | None) -> Found:
    """Correct the figures of a run for misclassification, or say how large its errors may be.

    With a sample, ``base``, ``corrected`` and ``difference`` each hold ``calibrated``: the measures
    of all occupations and of each split, and the ``subjects`` with their shares. Without one the
    difference holds ``sensitivity``: the error rates up to which MAD differs, if they are equal on
    both sides (``holds_up_to``) and if each side has its own (``holds_up_to_unlike``); None if MAD
    does not differ, or the attribute has more than two values.
    """
    counts = {name: measured.counts(side, "all") for side, name in SIDES.items()}
    drawn: Found = {"resampling": measured.resampling, "unit": "occupations"}
    if known is None:
        return {
            **{name: {} for name in counts},
            "difference": {"sensitivity": _sensitivity(counts, drawn)},
            "calibration": None,
        }
    found: Found = {name: {"calibrated": {}} for name in (*counts, "difference")}
    for split in measured.splits:
        for name, figures in _calibrated(measured, split, known, drawn).items():
            whole = found[name]["calibrated"]
            whole |= figures if split == "all" else {split: figures}
    for name, of in counts.items():
        shares = calibrated_share(of, known, seed=measured.resampling.seed)
        found[name]["calibrated"]["subjects"] = [
            {
                "subject": subject,
                "n": int(row.sum()),
                "shares": dict(zip(known.values, map(asdict, each), strict=True)),
            }
            for subject, row, each in zip(measured.subjects("all"), of, shares, strict=True)
        ]
    rates = {"rates": known.rates.tolist(), "n": int(known.confusion.sum())}
    return {**found, "calibration": {"values": known.values, **rates}}


def _sensitivity(counts: Mapping[str, Any], drawn: Found) -> Found | None:
    before, after = counts["base"], counts["corrected"]
    if before.shape[1] != 2:
        return None
    change = paired_difference(before, after, **drawn)
    alike, unlike = difference_holds_up_to(before, after, change) or (None, None)
    return {"holds_up_to": alike, "holds_up_to_unlike": unlike}


def _calibrated(measured: Measurement, split: str, known: Calibration, drawn: Found) -> Found:
    """Every measure of both sides over the occupations of a split, and the difference of MAD."""
    counts = {name: measured.counts(side, split) for side, name in SIDES.items()}
    found: Found = {}
    for name, of in counts.items():
        figures = calibrated_figures(of, known, **drawn)
        found[name] = {measure: asdict(figure) for measure, figure in figures.items()}
    difference = calibrated_difference(counts["base"], counts["corrected"], known, **drawn)
    return found | {"difference": {"mad": asdict(difference)}}


def _sample(run: Run) -> Path:
    path: Path = run.path(run.config.evaluate.calibration)
    if not path.is_file():
        raise DataError(
            f"there is no calibration {path}; give it again with `evaluate RUN --calibration "
            "FILE`, or do without by --calibration ''"
        )
    return path
