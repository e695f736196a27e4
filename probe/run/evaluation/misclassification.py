"""The classifier's errors in a run: taken out by a labelled sample, or how large they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probe.audit.fairness import Interval, fairness_figures, paired_difference
from probe.audit.misclassification.corrected import (
    calibrated_figures,
    calibrated_share,
    usable_rates,
)
from probe.audit.misclassification.paired import calibrated_difference
from probe.audit.misclassification.sample import Calibration, read_calibration
from probe.audit.misclassification.sensitivity import difference_holds_up_to, holds_up_to
from probe.errors import DataError
from probe.io.artifacts import hash_file
from probe.run.evaluation.measurement import SIDES, SPLITS, Measurement
from probe.run.folder import Run

Found = dict[str, Any]


def calibration_line(run: Run) -> str:
    """What the sample says, to be hashed with the settings; empty if there is none."""
    return hash_file(_sample(run)) if run.config.evaluate.calibration else ""


def load_calibration(run: Run, attributes: Mapping[str, list[str]]) -> Calibration | None:
    """Read the run's labelled sample for the attribute that fairness is about.

    Raises
    ------
    DataError
        As `read_calibration` and `usable_rates`.
    """
    if not run.config.evaluate.calibration:
        return None
    known = read_calibration(_sample(run), values=attributes[run.config.evaluate.attribute])
    usable_rates(known)  # a sample that is too small is refused before the pictures are labelled
    return known


def classifier_error(measured: Measurement, known: Calibration | None) -> Found:
    """Give the figures of a run without its classifier's errors, or how large those may be.

    Returns
    -------
    dict
        ``base``, ``corrected`` and ``difference``, each to stand beside the figures as they were
        seen. With a sample each holds ``calibrated``: every measure with ``value``, ``low``,
        ``high`` and ``floor`` and the ``subjects`` with their shares; of the difference ``mad``;
        and under ``trained`` and ``held_out`` the same of those occupations, but for the subjects.
        Without, ``sensitivity``: ``holds_up_to``, the error rates up to which the side is less
        fair than chance, or MAD differs; of the difference also ``holds_up_to_unlike``, where
        the classifier errs otherwise on each side. None if there is nothing to hold, or if the
        attribute has more than two values. ``calibration`` says what is known of the classifier.
    """
    subjects = measured.subjects("all")
    counts = {name: measured.counts(side, "all") for side, name in SIDES.items()}
    drawn: Found = {"resampling": measured.resampling, "unit": "occupations"}
    before, after = counts["base"], counts["corrected"]
    if known is None:
        if before.shape[1] != 2:
            nothing = {"sensitivity": None}
            return {**dict.fromkeys((*counts, "difference"), nothing), "calibration": None}
        change = difference_holds_up_to(before, after, paired_difference(before, after, **drawn))
        alone = {
            name: holds_up_to(of, fairness_figures(of, **drawn)["mad"])
            for name, of in counts.items()
        }
        largest = dict(
            zip(("holds_up_to", "holds_up_to_unlike"), change or (None, None), strict=True)
        )
        return {
            **{name: {"sensitivity": {"holds_up_to": rate}} for name, rate in alone.items()},
            "difference": {"sensitivity": largest},
            "calibration": None,
        }
    found: Found = {name: {"calibrated": {}} for name in (*counts, "difference")}
    for split in SPLITS:
        for name, figures in _calibrated(measured, split, known, drawn).items():
            whole = found[name]["calibrated"]
            whole |= figures if split == "all" else {split: figures}
    for name, of in counts.items():
        shares = calibrated_share(of, known, seed=measured.resampling.seed)
        found[name]["calibrated"]["subjects"] = _by_subject(subjects, of, shares, known)
    rates = {"rates": known.rates.tolist(), "n": int(known.confusion.sum())}
    return {**found, "calibration": {"values": known.values, **rates}}


def _calibrated(
    measured: Measurement, split: str, known: Calibration, drawn: Mapping[str, Any]
) -> Found:
    """Every measure of both sides over the occupations of a split, and the difference of MAD."""
    counts = {name: measured.counts(side, split) for side, name in SIDES.items()}
    figures = {name: calibrated_figures(of, known, **drawn) for name, of in counts.items()}
    difference = calibrated_difference(counts["base"], counts["corrected"], known, **drawn)
    return {
        **{
            name: {measure: asdict(figure) for measure, figure in of.items()}
            for name, of in figures.items()
        },
        "difference": {"mad": asdict(difference)},
    }


def _by_subject(
    subjects: list[str], counts: Any, shares: list[list[Interval]], known: Calibration
) -> list[Found]:
    return [
        {
            "subject": subject,
            "n": int(row.sum()),
            "shares": {value: asdict(share) for value, share in zip(known.values, of, strict=True)},
        }
        for subject, row, of in zip(subjects, counts, shares, strict=True)
    ]


def _sample(run: Run) -> Path:
    path: Path = run.path(run.config.evaluate.calibration)
    if not path.is_file():
        raise DataError(
            f"there is no calibration {path}; give it again with `evaluate RUN --calibration "
            "FILE`, or do without by --calibration ''"
        )
    return path
