"""Tables and figures of intersections, computed from labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.fairness import paired_difference
from probe.audit.intersections.cells import (
    Cell,
    cell_shifts,
    count_cells,
    divide_unfairness,
    measure_cells,
    worst_cell,
)
from probe.audit.intersections.information import dependence
from probe.run.files import SIDES
from probe.stats.multiplicity import holm
from probe.stats.resampling import Resampling

Attributes = Mapping[str, Sequence[str]]
Found = dict[str, Any]

ALPHA = 0.05
"""Level of every claim, after Holm's adjustment over the cells of an intersection."""


def combine(attributes: Attributes, first: str) -> list[dict[str, Sequence[str]]]:
    """Pair one attribute with each other one, and take all together if there are more than two."""
    others = [name for name in attributes if name != first]
    chosen: list[tuple[str, ...]] = [(first, other) for other in others]
    if len(others) > 1:
        chosen.append((first, *others))
    return [{name: attributes[name] for name in names} for names in chosen]


def title(attributes: Attributes) -> str:
    """Name an intersection: ``"gender x age"``."""
    return " x ".join(attributes)


def measure_intersection(
    labels: pd.DataFrame, attributes: Attributes, *, resampling: Resampling
) -> tuple[pd.DataFrame, Found]:
    """Measure one intersection in the neutral pictures of both sides.

    Returns
    -------
    table : DataFrame
        One row a side and cell: ``intersection``, ``side``, ``cell``, the fields of `Cell`, and
        of the corrected side ``change``, ``p_holm`` and ``is_harmed``.
    figures : dict
        By side ``n``, ``joint``, ``marginal``, ``hidden``, ``dependence``, ``worst``,
        ``n_small``; and ``harmed``.
    """
    subjects = {name: row for row, name in enumerate(dict.fromkeys(labels["subject"]))}
    rows: list[Found] = []
    figures: Found = {}
    by_subject, shuffles = {}, Resampling(999, resampling.seed)
    for side in SIDES:
        table = labels[labels["side"] == side]
        strata = table["subject"].map(subjects).to_numpy(np.int64)
        codes, counts = count_cells(table, attributes, strata)
        by_subject[side] = counts.reshape(len(counts), -1)
        cells = measure_cells(counts, attributes)
        division = divide_unfairness(counts, attributes)
        worst = worst_cell(cells)
        figures[side] = {
            "n": int(counts.sum()),
            "joint": division.joint,
            "marginal": division.marginal,
            "hidden": asdict(division.hidden),
            "dependence": asdict(dependence(codes, permutations=shuffles)),
            "dependence_within_subjects": asdict(dependence(codes, strata, permutations=shuffles)),
            "worst": None if worst is None else _told(worst),
            "missing": [_named(cell) for cell in cells if cell.is_missing],
            "n_small": sum(cell.is_small for cell in cells),
        }
        rows += [
            {"intersection": title(attributes), "side": side, "cell": _named(cell)}
            | {key: value for key, value in asdict(cell).items() if key != "values"}
            for cell in cells
        ]
    shifts = cell_shifts(*by_subject.values(), resampling=resampling.for_tests(len(cells)))
    adjusted = holm(np.array([shift.p for shift in shifts]))
    table = pd.DataFrame(rows)
    is_new = (table["side"] == "moesd").to_numpy()
    table.loc[is_new, "change"] = [shift.value for shift in shifts]
    table.loc[is_new, "p_holm"] = adjusted
    new, old = table[is_new], table[~is_new]
    further = (new["share"] - new["fair"]).abs().to_numpy() > (
        old["share"] - old["fair"]
    ).abs().to_numpy()
    harmed = further & (adjusted <= ALPHA) & ~new["is_small"].to_numpy()
    table["is_harmed"] = np.concatenate([np.zeros(len(old), bool), harmed])
    figures["harmed"] = [
        {"cell": cell, "p_holm": float(p), **asdict(shift)}
        for cell, p, shift, is_so in zip(new["cell"], adjusted, shifts, harmed, strict=True)
        if is_so
    ]
    return table, figures


def harm_to_others(
    labels: pd.DataFrame, attributes: Attributes, first: str, *, resampling: Resampling
) -> dict[str, Found]:
    """Test whether correcting one attribute makes the others less fair, each on its own.

    Returns
    -------
    dict of str to dict
        By attribute: the paired difference of MAD over subjects, corrected less base, with its
        ``p_holm`` and ``is_harmed``.
    """
    found: dict[str, Found] = {}
    subjects = {name: row for row, name in enumerate(dict.fromkeys(labels["subject"]))}
    for name, values in attributes.items():
        if name == first:
            continue
        counts = []
        for side in SIDES:
            table = labels[labels["side"] == side]
            strata = table["subject"].map(subjects).to_numpy(np.int64)
            counts.append(count_cells(table, {name: values}, strata)[1])
        enough = resampling.for_tests(len(attributes))
        found[name] = asdict(paired_difference(*counts, resampling=enough))
    if not found:
        return found
    adjusted = holm(np.array([of["p"] for of in found.values()]))
    for of, p in zip(found.values(), adjusted, strict=True):
        of |= {"p_holm": float(p), "is_harmed": bool(p <= ALPHA and of["value"] > 0)}
    return found


def largest(attributes: Attributes, first: str, *, max_cells: int) -> Attributes:
    """Choose as many attributes, the first among them, as have few enough combinations."""
    others = [name for name in attributes if name != first]
    for n_others in range(len(others), 0, -1):
        for chosen in combinations(others, n_others):
            names = (first, *chosen)
            if np.prod([len(attributes[name]) for name in names]) <= max_cells:
                return {name: attributes[name] for name in names}
    return {first: attributes[first]}


def _named(cell: Cell) -> str:
    return ", ".join(cell.values)


def _told(cell: Cell) -> Found:
    return {"cell": _named(cell)} | {
        key: value for key, value in asdict(cell).items() if key != "values"
    }
