"""An audit as the table that people read."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.audit.measures import MEASURES
from probe.io.files import atomic, harmless

Found = Mapping[str, Any]

_N_SUBJECTS = 5


def table_of(found: Found, others: Mapping[str, Found]) -> str:
    """Figures raw, by chance and without chance; the ends; what nobody saw; notes."""
    lines = [
        f"{found['source']}: {found['attribute']} ({', '.join(found['values'])}), "
        f"{found['n_subjects']} subjects, {found['n_images']} pictures, against {found['target']}",
        f"{'':<8}{'as observed':<26}{'noise floor':<14}without chance",
        *_figures(found),
        *_subjects(found),
        *_missing(found),
        *_error(found),
        *_against(found),
    ]
    if (link := found.get("correlation")) is not None:
        lines.append(
            f"share of {link['value']} against {link['reference']}: r = {link['r']:.3f} "
            f"[{link['low']:.3f}, {link['high']:.3f}], {link['n']} subjects"
        )
    for name, other in others.items():
        mad = other["mad"]
        lines.append(
            f"{name} ({', '.join(other['values'])}): MAD {mad['value']:.3f} "
            f"[{mad['low']:.3f}, {mad['high']:.3f}], noise floor {mad['floor']:.3f}"
        )
    lines.append(
        "values are perceived, not anyone's identity; intervals are 95 %; a fair model scores the "
        "noise floor"
    )
    return "\n".join([*(line.rstrip() for line in lines), *found["notes"]])


def _figures(found: Found) -> list[str]:
    lines = []
    for name in MEASURES:
        figure = found[name]
        raw = f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
        corrected = (
            f"{figure['corrected']:.3f} "
            f"[{figure['corrected_low']:.3f}, {figure['corrected_high']:.3f}]"
        )
        lines.append(f"{name.upper():<8}{raw:<26}{figure['floor']:<14.3f}{corrected}")
    return lines


def _subjects(found: Found) -> list[str]:
    """The subjects at both ends of the first value."""
    value = found["values"][0]
    ranked = sorted(found["subjects"], key=lambda row: row["shares"][value]["value"])
    if len(ranked) > 2 * _N_SUBJECTS:
        ranked = ranked[:_N_SUBJECTS] + ranked[-_N_SUBJECTS:]
    lines = [f"share of {value}, the ends:"]
    for row in ranked:
        share = row["shares"][value]
        lines.append(
            f"  {row['subject'][:32]:<34}{share['value']:.2f} "
            f"[{share['low']:.2f}, {share['high']:.2f}]  n = {row['n']}"
        )
    return lines


def _error(found: Found) -> list[str]:
    """What the classifier's errors do to the figure."""
    if (known := found.get("calibrated")) is not None:
        mad = known["mad"]
        return [
            f"MAD without the classifier's errors ({known['n']} labelled pictures): "
            f"{mad['value']:.3f} [{mad['low']:.3f}, {mad['high']:.3f}], noise floor "
            f"{mad['floor']:.3f}"
        ]
    if found.get("sensitivity") is None:
        return []
    if (largest := found["sensitivity"]["holds_up_to"]) is None:
        return ["these pictures cannot be told from a fair model's"]
    return [
        f"less fair than chance: holds for a classifier that errs up to {100 * largest:.1f} % "
        "either way"
    ]


def _against(found: Found) -> list[str]:
    """How the source differs from the other one."""
    if (other := found.get("against")) is None:
        return []
    mad = other["difference"]["mad"]
    same = "equivalent" if mad["p_equivalent"] < 0.05 else "not shown to be equivalent"
    n_different = sum(row["p_holm"] < 0.05 for row in other["subjects"])
    lines = [
        f"MAD of {other['source']} minus this: {mad['value']:+.3f} "
        f"[{mad['low']:+.3f}, {mad['high']:+.3f}], p = {mad['p']:.2g}; within "
        f"{mad['margin']:g}: {same} (p = {mad['p_equivalent']:.2g})",
        f"share of {other['value']} differs in {n_different} of {len(other['subjects'])} subjects "
        "(Holm, 5 %)",
    ]
    if missing := other["missing"]:
        lines.append(
            f"in one of the two only: {', '.join(missing[:_N_SUBJECTS])}"
            + (f" and {len(missing) - _N_SUBJECTS} more" if len(missing) > _N_SUBJECTS else "")
        )
    return lines


def _missing(found: Found) -> list[str]:
    missing = dict(found["missing"])
    if not (total := missing.pop("total")):
        return []
    why = ", ".join(f"{n} {reason}" for reason, n in missing.items())
    bounds = found["bounds"]["mad"]
    return [
        f"{total} pictures show no value ({why}); had all of them shown the fairest or the least "
        f"fair one, MAD would be {bounds['low']:.3f} or {bounds['high']:.3f}"
    ]


def write_shares(path: Path, found: Found) -> None:
    """Write each subject's shares with their intervals as CSV, a row a subject and value.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    names = ("subject", "attribute", "value", "count", "n", "share", "low", "high")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in found["subjects"]:
            for value, share in row["shares"].items():
                texts = (harmless(text) for text in (row["subject"], found["attribute"], value))
                count = round(share["value"] * row["n"])
                ends = (f"{share[end]:.6g}" for end in ("value", "low", "high"))
                writer.writerow([*texts, count, row["n"], *ends])
