"""One source audited: every figure of it, by subject, and what cannot be concluded."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.comparison import compare_sources
from probe.audit.deconvolution import audit_figures
from probe.audit.fairness import FairnessFigure, departure_p
from probe.audit.intersections.cells import divide_unfairness, measure_cells, worst_cell
from probe.audit.misclassification.corrected import calibrated_figures
from probe.audit.misclassification.sample import read_calibration
from probe.audit.misclassification.sensitivity import holds_up_to
from probe.audit.missing_label_bounds import bound_figures
from probe.audit.readers.shares import PARITY, correlate, parse_target, read_reference
from probe.audit.sources import Source
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError
from probe.io.escaping import harmless
from probe.io.files import atomic
from probe.io.settings import at_least, setting
from probe.stats.confidence_limits import exact_limits
from probe.stats.interval import Interval
from probe.stats.multiplicity import holm
from probe.stats.resampling import Resampled

Found = dict[str, Any]


@dataclass(frozen=True)
class AuditSettings(Resampled):
    """How a source is audited."""

    target: str = setting(
        PARITY, "What is fair: parity, shares as in woman=0.3,man=0.7, or a table by subject."
    )
    calibration: str = setting("", "Table of a classifier's errors: columns true and seen.")
    reference: str = setting("", "Table of shares or counts by subject to correlate with.")
    column: str = setting("", "Column of the reference; needed only if several could be meant.")
    value: str = setting("", "The value whose share is correlated; the attribute's first if empty.")
    n_bootstrap: int = setting(2000, "Resamples behind each interval.")
    seed: int = setting(0, "Seed of the resamples.")

    def __post_init__(self) -> None:
        at_least("n_bootstrap", self.n_bootstrap, 1)


@dataclass(frozen=True)
class Audit:
    """Everything that is found about one source."""

    found: Found
    """As ``audit --json`` prints it: `MEASURES` and what goes with them, at the top level."""
    others: dict[str, Found] = field(default_factory=dict)
    """The same of every further attribute of the source."""

    def against(
        self, source: Source, other: Source, settings: AuditSettings, *, margin: float
    ) -> Audit:
        """The same with a comparison of its source with another one, under ``against``."""
        compared = compare_sources(
            source,
            other,
            attribute=self.found["attribute"],
            target=settings.target,
            value=settings.value or None,
            margin=margin,
            resampling=settings.resampling,
        )
        return replace(self, found={**self.found, "against": compared})

    def to_json(self) -> Found:
        """Everything; further attributes under ``others``."""
        return self.found | ({"others": self.others} if self.others else {})


def audit_source(source: Source, settings: AuditSettings, *, attribute: str | None = None) -> Audit:
    """Audit counts, or each attribute of labels.

    Parameters
    ----------
    source : CountTable or LabelTable
    settings : AuditSettings
    attribute : str, optional
        The one that stands at the top; the only one or ``gender`` if not given. The target and
        the reference are about this one, and the others are measured against parity. Of several
        (``gender,race``) the first, and their intersection.

    Returns
    -------
    Audit
        ``found`` holds `probe.audit.measures.MEASURES`, each with its interval, noise floor and
        correction for few images; ``bounds`` by what images without a label could have shown;
        ``missing``; ``subjects``, each with its shares and a test against the target, adjusted by
        Holm; ``calibrated`` if the classifier's errors are known, else ``sensitivity``;
        ``correlation`` if there is a reference; ``intersection`` of several attributes.
    """
    if isinstance(source, CountTable):
        return Audit(_audit_counts(source, settings))
    chosen = [name.strip() for name in attribute.split(",")] if attribute else []
    attribute = chosen[0] if chosen else _only_attribute(source.source, list(source.values))
    found = _audit_counts(source.count(attribute), settings)
    if len(chosen) > 1:
        found["intersection"] = _intersection(source, chosen)
    plain = AuditSettings(n_bootstrap=settings.n_bootstrap, seed=settings.seed)
    others = {
        name: _audit_counts(source.count(name), plain)
        for name, values in source.values.items()
        if name != attribute and len(values) > 1
    }
    return Audit(found, others)


def write_shares(path: Path, audits: Mapping[str, Audit]) -> None:
    """Write each subject's shares with their intervals as CSV, one row a subject and value.

    Audits of groups have a column with the group's name; a single one has the name "". A text that
    a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    names = ("subject", "attribute", "value", "count", "n", "share", "low", "high")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names if "" in audits else ("group", *names))
        for group, audit in audits.items():
            for row in audit.found["subjects"]:
                for value, share in row["shares"].items():
                    about = (row["subject"], audit.found["attribute"], value)
                    texts = map(harmless, about if "" in audits else (group, *about))
                    count = round(share["value"] * row["n"])
                    limits = (f"{share[key]:.6g}" for key in ("value", "low", "high"))
                    writer.writerow([*texts, count, row["n"], *limits])


def share_table(counts: Counts) -> list[list[Interval]]:
    """Give the share of each value in the images of each subject, with its exact interval."""
    totals = counts.sum(axis=1, keepdims=True)
    limits = (counts / totals, *exact_limits(counts, np.broadcast_to(totals, counts.shape)))
    return [
        [Interval(float(v), float(a), float(b)) for v, a, b in zip(*row, strict=True)]
        for row in zip(*limits, strict=True)
    ]


def _only_attribute(source: str, known: list[str]) -> str:
    if len(known) == 1:
        return known[0]
    if "gender" in known:
        return "gender"
    raise DataError(
        f"{source} has the attributes {', '.join(known)}; say with --attribute which one is meant"
    )


def _intersection(source: LabelTable, names: Sequence[str]) -> Found:
    """Shares of the combinations of several attributes, in the images that show all of them."""
    attributes = {name: source.values[name] for name in names}
    counts = source.count_cells(names)
    if not counts.sum():
        raise DataError(f"{source.source}: no image has a label of every one of {', '.join(names)}")
    cells = measure_cells(counts, attributes)
    worst, hidden = worst_cell(cells), divide_unfairness(counts, attributes).hidden
    return {
        "attributes": list(names),
        "n_images": int(counts.sum()),
        "cells": [asdict(cell) | {"is_missing": cell.is_missing} for cell in cells],
        "worst": None if worst is None else asdict(worst),
        "hidden": asdict(hidden),
    }


def _audit_counts(table: CountTable, settings: AuditSettings) -> Found:
    """Every figure of one attribute."""
    table = table.with_images()
    target = parse_target(settings.target, subjects=table.subjects, values=table.values)
    figures = audit_figures(table.counts, target=target, resampling=settings.resampling)
    found: Found = {
        "source": table.source,
        "attribute": table.attribute,
        "values": table.values,
        "target": settings.target,
        "n_subjects": len(table.subjects),
        "n_images": int(table.counts.sum()),
        **{name: asdict(figure) for name, figure in figures.items()},
        "missing": {
            "total": int(table.n_missing.sum()),
            **{reason: int(n.sum()) for reason, n in table.missing.items()},
        },
        "bounds": bound_figures(table.counts, table.n_missing, target=target),
        "notes": list(table.notes),
        **_classifier_error(table, target, figures["mad"], settings),
    }
    if settings.reference:
        value = settings.value or table.values[0]
        reference = read_reference(Path(settings.reference), value, column=settings.column or None)
        link = correlate(table, value, reference)
        found["correlation"] = {**link, "reference": Path(settings.reference).name}
    p = departure_p(table.counts, target=target)
    found["subjects"] = [
        {
            "subject": subject,
            "n": int(row.sum()),
            "missing": int(n_missing),
            "p": float(p_subject),
            "p_holm": float(p_holm),
            "shares": {
                value: asdict(share) for value, share in zip(table.values, shares, strict=True)
            },
        }
        for subject, row, n_missing, p_subject, p_holm, shares in zip(
            table.subjects,
            table.counts,
            table.n_missing,
            p,
            holm(p),
            share_table(table.counts),
            strict=True,
        )
    ]
    return found


def _classifier_error(
    table: CountTable, target: Double | None, mad: FairnessFigure, settings: AuditSettings
) -> Found:
    """Figures corrected for the classifier's errors, or how large those may be."""
    if settings.calibration:
        known = read_calibration(Path(settings.calibration), values=table.values)
        corrected = calibrated_figures(
            table.counts, known, target=target, resampling=settings.resampling
        )
        return {
            "calibrated": {
                **{name: asdict(figure) for name, figure in corrected.items()},
                "rates": known.rates.tolist(),
                "n": int(known.confusion.sum()),
            }
        }
    if len(table.values) != 2:
        return {"sensitivity": None}
    return {"sensitivity": {"holds_up_to": holds_up_to(table.counts, mad, target=target)}}
