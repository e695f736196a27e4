"""What the correction does to the attributes that it is not about, such as age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.failures import share_over
from probe.audit.missing_label_bounds import is_seen
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import Measurement
from probe.run.files import SIDES
from probe.stats.mean import mean_test
from probe.stats.multiplicity import holm

Found = dict[str, Any]


def other_attributes(measured: Measurement) -> Found | None:
    """Measure how every other attribute's shares change in the neutral images, corrected less base.

    The change of each value's share is paired over occupations: overall, and among the images that
    show one value of the corrected attribute, over the occupations that have such images on both
    sides.

    Returns
    -------
    dict or None
        ``value``, the largest change of an overall share in either direction, 0 if none changes;
        ``low`` of its interval; ``high``, the largest upper limit of all values' changes: that no
        share changes by more can be claimed without adjustment (an intersection-union test).
        ``changes`` has one row a value, overall (``within`` is empty) and by value of the corrected
        attribute, with ``p_holm`` adjusted over all rows. ``flipped`` is, by attribute, the share
        of pairs from equal noise whose label differs, of those in which the corrected attribute
        does. None if the classifier knows no other attribute, or there are not two occupations.

    References
    ----------
    Berger, *Multiparameter hypothesis testing and acceptance sampling*, Technometrics 24 (1982).
    """
    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    rows = list(_changes(measured, neutral))
    overall = [row for row in rows if not row["within"]]
    if not overall:
        return None
    for row, p in zip(rows, holm(np.array([row["p"] for row in rows])), strict=True):
        row["p_holm"] = float(p)
    largest = max(overall, key=lambda row: abs(row["value"]))
    return {
        "value": abs(largest["value"]),
        "low": max(0.0, largest["low"], -largest["high"]),
        "high": max(max(-row["low"], row["high"]) for row in overall),
        "unit": largest["unit"],
        "n": largest["n"],
        "changes": rows,
        "flipped": _flipped(measured, neutral),
    }


def _others(measured: Measurement) -> list[str]:
    aside = (measured.attribute, SUBJECT_SEEN)
    return [name for name in measured.attributes if name not in aside and name in measured.labels]


def _changes(measured: Measurement, neutral: pd.DataFrame) -> Iterator[Found]:
    names, groups = _others(measured), ("", *measured.attributes[measured.attribute])
    n_tests = len(groups) * sum(len(measured.attributes[name]) for name in names)
    for name in names:
        seen = neutral[is_seen(neutral, name, measured.attribute)]
        for group in groups:
            of = seen[seen[measured.attribute] == group] if group else seen
            base, corrected = (
                pd.crosstab(table["subject"], table[name], normalize="index").reindex(
                    columns=list(measured.attributes[name]), fill_value=0.0
                )
                for table in (of[of["side"] == side] for side in SIDES)
            )
            known = base.index.intersection(corrected.index)
            if len(known) < 2:
                continue
            for value in measured.attributes[name]:
                before, after = (table.loc[known, value].to_numpy() for table in (base, corrected))
                tested = mean_test(
                    after - before,
                    bounds=(-1.0, 1.0),
                    resampling=measured.resampling.for_tests(n_tests),
                    unit="occupations",
                )
                about = {"attribute": name, "shown": value, "within": group}
                means = {"base": float(before.mean()), "corrected": float(after.mean())}
                yield about | means | asdict(tested)


def _flipped(measured: Measurement, neutral: pd.DataFrame) -> Found:
    """Share of the pairs with another label of each attribute, of those that flipped."""
    base, corrected = (neutral[neutral["side"] == side].set_index("file_name") for side in SIDES)
    corrected = corrected.loc[base.index]

    def differs(name: str) -> pd.Series:
        return (base[name] != corrected[name]) & is_seen(base, name) & is_seen(corrected, name)

    is_flipped = differs(measured.attribute)
    subjects = base["subject"][is_flipped]
    return {name: share_over(subjects, differs(name)[is_flipped]) for name in _others(measured)}
