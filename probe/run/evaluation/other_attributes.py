"""What the correction does to the attributes that it is not about, such as age."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.failures import share_over
from probe.audit.intersections.cells import cell_shifts
from probe.audit.missing_label_bounds import is_seen
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.measurement import Measurement
from probe.run.files import SIDES
from probe.stats.multiplicity import holm

Found = dict[str, Any]


def other_attributes(measured: Measurement) -> Found | None:
    """Measure how every other attribute's shares change in the neutral images, corrected less base.

    ``changes`` are paired over occupations: one row a value, overall (``within`` is empty) and
    among the images that show one value of the corrected attribute, over the occupations that have
    such images on both sides; ``p_holm`` is adjusted over all rows. ``value`` is the largest change
    of an overall share in either direction, with the lower limit of that share. ``high`` is the
    largest limit of all: that no share changes by more can be claimed without adjustment, by an
    intersection-union test (Berger, Technometrics 24, 1982). ``flipped``: by attribute, of the
    pairs from equal noise in which the corrected attribute differs, the share whose label does too.
    None if the classifier knows no other attribute, or there are not two occupations.
    """
    neutral = measured.labels[measured.labels["kind"] == "neutral"]
    aside = (measured.attribute, *measured.also_corrected, SUBJECT_SEEN)
    names = [name for name in measured.attributes if name not in aside and name in neutral]
    rows = [row for name in names for row in _changes(measured, neutral, name, len(names))]
    overall = [row for row in rows if not row["within"]]
    if not overall:
        return None
    for row, p in zip(rows, holm(np.array([row["p"] for row in rows])), strict=True):
        row["p_holm"] = float(p)
    largest = max(overall, key=lambda row: abs(row["value"]))
    base, corrected = (neutral[neutral["side"] == side].set_index("file_name") for side in SIDES)
    corrected = corrected.loc[base.index]
    differs = {
        name: (base[name] != corrected[name]) & is_seen(base, name) & is_seen(corrected, name)
        for name in (measured.attribute, *names)
    }
    is_flipped = differs[measured.attribute]
    subjects = base["subject"][is_flipped]
    return {
        "value": abs(largest["value"]),
        "low": max(0.0, largest["low"], -largest["high"]),
        "high": max(max(-row["low"], row["high"]) for row in overall),
        "unit": largest["unit"],
        "n": largest["n"],
        "changes": rows,
        "flipped": {name: share_over(subjects, differs[name][is_flipped]) for name in names},
    }


def _changes(
    measured: Measurement, neutral: pd.DataFrame, name: str, n_names: int
) -> Iterator[Found]:
    """Change of the share of every value of an attribute, overall and by the corrected one's."""
    values, groups = list(measured.attributes[name]), measured.attributes[measured.attribute]
    enough = measured.resampling.for_tests(n_names * len(values) * (1 + len(groups)))
    seen = neutral[is_seen(neutral, name, measured.attribute)]
    for group in ("", *groups):
        of = seen[seen[measured.attribute] == group] if group else seen
        base, corrected = (
            pd.crosstab(table["subject"], table[name]).reindex(columns=values, fill_value=0)
            for table in (of[of["side"] == side] for side in SIDES)
        )
        known = base.index.intersection(corrected.index)
        if len(known) > 1:
            counts = (table.loc[known].to_numpy(np.int64) for table in (base, corrected))
            shifts = cell_shifts(*counts, resampling=enough, unit="occupations")
            for value, shift in zip(values, shifts, strict=True):
                yield {"attribute": name, "shown": value, "within": group} | asdict(shift)
