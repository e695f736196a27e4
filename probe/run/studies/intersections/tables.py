"""Tables of intersections, from the labels of a run's images and of images that ask for them."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Codes, Counts
from probe.audit.fairness import paired_difference
from probe.audit.intersections.cells import (
    MIN_EXPECTED,
    Cell,
    cell_shifts,
    count_cells,
    divide_unfairness,
    measure_cells,
    worst_cell,
)
from probe.audit.intersections.information import dependence
from probe.images.plan import GenerationPlan
from probe.io.artifacts import hash_parts
from probe.run.files import SIDES
from probe.run.folder import Run
from probe.stats.multiplicity import holm
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling
from probe.text.languages import language_of
from probe.text.templates import fill

Attributes = Mapping[str, Sequence[str]]
Found = dict[str, Any]

ALPHA = 0.05
"""Level of every claim, after Holm's adjustment over the cells of an intersection."""
N_IMAGES = 12
"""Images of each requested combination and side; our choice, just enough for a claim."""
MAX_ASKED = 40
"""Combinations that are requested in prompts, at most: each takes images."""


def combine(attributes: Attributes) -> list[Attributes]:
    """Pair the first attribute with each other one; all together if there are more than two."""
    first, *others = attributes
    chosen: list[tuple[str, ...]] = [(first, other) for other in others]
    if len(others) > 1:
        chosen.append(tuple(attributes))
    return [{name: attributes[name] for name in names} for names in chosen]


def title(attributes: Attributes) -> str:
    """Name an intersection: ``"gender x age"``."""
    return " x ".join(attributes)


def measure_intersection(
    labels: pd.DataFrame, attributes: Attributes, *, resampling: Resampling
) -> tuple[pd.DataFrame, Found]:
    """Measure one intersection in the neutral images of both sides.

    Return a row a side and cell, the fields of `Cell` and of the corrected side ``change``,
    ``p_holm`` and ``is_harmed`` (it moves further from parity); and figures by side, with the cells
    that are ``harmed``.
    """
    figures: Found = {}
    by_subject, cells_of, tables = [], [], []
    for side in SIDES:
        strata, codes, counts = _counted(labels, side, attributes)
        by_subject.append(counts.reshape(len(counts), -1))
        cells, division = measure_cells(counts, attributes), divide_unfairness(counts, attributes)
        worst = worst_cell(cells)
        within = dependence(codes, strata, permutations=Resampling(999, resampling.seed))
        figures[side] = {
            "n": int(counts.sum()),
            "joint": division.joint,
            "marginal": division.marginal,
            "hidden": asdict(division.hidden),
            "dependence_within_subjects": asdict(within),
            "worst": None if worst is None else _row(worst),
            "missing": [_row(cell)["cell"] for cell in cells if cell.is_missing],
            "n_small": sum(cell.is_small for cell in cells),
        }
        cells_of.append(cells)
        about = {"intersection": title(attributes), "side": side}
        tables.append(pd.DataFrame([{**about, **_row(cell)} for cell in cells]))
    shifts = cell_shifts(*by_subject, resampling=resampling.for_tests(len(cells)))
    adjusted = holm(np.array([shift.p for shift in shifts]))
    old, new = tables
    distance = [(of["share"] - of["fair"]).abs() for of in tables]
    is_harmed = (distance[1] > distance[0]) & (adjusted <= ALPHA) & ~new["is_small"]
    changes = [shift.value for shift in shifts]
    tables[1] = new.assign(change=changes, p_holm=adjusted, is_harmed=is_harmed)
    figures["harmed"] = [
        {"cell": new["cell"][row], "p_holm": float(adjusted[row]), **asdict(shifts[row])}
        for row in np.flatnonzero(is_harmed)
    ]
    tables[0] = old.assign(change=np.nan, p_holm=np.nan, is_harmed=False)
    return pd.concat(tables, ignore_index=True), figures


def harm_to_others(
    labels: pd.DataFrame, attributes: Attributes, *, resampling: Resampling
) -> dict[str, Found]:
    """Test whether correcting the first attribute makes the others less fair, each on its own.

    By attribute, the paired difference of MAD over subjects, corrected less base.
    """
    found: dict[str, Found] = {}
    enough = resampling.for_tests(len(attributes))
    for name in list(attributes)[1:]:
        counts = [_counted(labels, side, {name: attributes[name]})[2] for side in SIDES]
        found[name] = asdict(paired_difference(*counts, resampling=enough))
    if not found:
        return found
    adjusted = holm(np.array([of["p"] for of in found.values()]))
    for of, p in zip(found.values(), adjusted, strict=True):
        of |= {"p_holm": float(p), "is_harmed": bool(p <= ALPHA and of["value"] > 0)}
    return found


def largest(attributes: Attributes, *, max_cells: int = MAX_ASKED) -> Attributes:
    """Choose as many attributes, the first among them, as have few enough combinations."""
    first, *others = attributes
    for n_others in range(len(others), 0, -1):
        for chosen in combinations(others, n_others):
            names = (first, *chosen)
            if np.prod([len(attributes[name]) for name in names]) <= max_cells:
                return {name: attributes[name] for name in names}
    return {first: attributes[first]}


def plan_asked(run: Run, attributes: Attributes) -> GenerationPlan | None:
    """Plan images of every combination of values, all of the same occupations and noise.

    With columns ``asked_<attribute>``; None if the lexicon has no template for a person's noun, or
    is not English, as the words of other attributes are.
    """
    lexicon, config = run.lexicon, run.config
    explicit = lexicon.templates["test"].explicit
    template = next((text for text in explicit if "{person}" in text), None)
    if template is None or not lexicon.pairs or language_of(lexicon) is not None:
        return None
    text = files("probe").joinpath("data/attributes.toml").read_text(encoding="utf-8")
    pair, words = lexicon.pairs[0], tomllib.loads(text)
    nouns = {config.evaluate.female: pair.female, config.evaluate.male: pair.male}
    first, *others = attributes
    others.sort(key=lambda name: [*words, name].index(name))  # the order in which they are said
    jobs = [job.name for job in lexicon.occupations]
    rows = []
    for cell, values in enumerate(product(*attributes.values())):
        asked = dict(zip(attributes, values, strict=True))
        adjectives = [words.get(name, {}).get(asked[name], asked[name]) for name in others]
        person = " ".join([*adjectives, nouns.get(asked[first], asked[first])])
        for index in range(N_IMAGES):
            job = jobs[index * len(jobs) // N_IMAGES]
            seed = int(hash_parts("intersections", str(config.generate.seed), str(index))[:8], 16)
            rows.append(
                {
                    "kind": "asked",
                    "subject": job,
                    "prompt": fill(template, subject=job, person=person),
                    "seed": seed,
                    "file_name": f"{cell:03d}-{index:03d}.png",
                    **{f"asked_{name}": value for name, value in asked.items()},
                }
            )
    return GenerationPlan(pd.DataFrame(rows))


def measure_asked(
    images: pd.DataFrame, attributes: Attributes
) -> tuple[pd.DataFrame, dict[str, Found]]:
    """Measure in which share of its images each combination is seen as it was requested.

    ``images`` have columns ``side``, ``asked_<attribute>`` and ``<attribute>`` (as seen). Return a
    row a side and cell, with exact 95 % intervals, and by side the share over all cells and the
    worst one. Of cells with fewer than `MIN_EXPECTED` images (``is_small``), nothing is claimed.
    """
    asked = [f"asked_{name}" for name in attributes]
    is_adherent = np.all([images[name] == images[f"asked_{name}"] for name in attributes], axis=0)
    rows, figures = [], {}
    for side, of_side in images.assign(is_adherent=is_adherent).groupby("side", sort=False):
        cells = []
        for values, of in of_side.groupby(asked, sort=False):
            n, hits = len(of), int(of["is_adherent"].sum())
            share = binomial_interval(hits, n)
            cell: Found = {"side": side, "cell": ", ".join(values), "n": n, "n_adherent": hits}
            limits = {"share": share.value, "low": share.low, "high": share.high}
            cells.append({**cell, **limits, "is_small": n < MIN_EXPECTED})
        rows += cells
        n, hits = (sum(cell[key] for cell in cells) for key in ("n", "n_adherent"))
        known = [cell for cell in cells if not cell["is_small"]]
        whole = binomial_interval(hits, n)
        figures[str(side)] = {
            **{"value": whole.value, "low": whole.low, "high": whole.high, "n": n},
            "n_small": len(cells) - len(known),
            "worst": min(known, key=lambda cell: cell["share"], default=None),
        }
    return pd.DataFrame(rows), figures


def _counted(
    labels: pd.DataFrame, side: str, attributes: Attributes
) -> tuple[Codes, Codes, Counts]:
    """Number the subjects and the cells of one side's images, and count the cells by subject."""
    subjects = {name: row for row, name in enumerate(dict.fromkeys(labels["subject"]))}
    table = labels[labels["side"] == side]
    strata = table["subject"].map(subjects).to_numpy(np.int64)
    return strata, *count_cells(table, attributes, strata)


def _row(cell: Cell) -> Found:
    fields = asdict(cell)
    return {"cell": ", ".join(fields.pop("values")), **fields}
