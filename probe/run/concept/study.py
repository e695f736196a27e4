"""The study of a concept: its axes, the places of words and targets on them, and its measures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.errors import DataError
from probe.io.artifacts import atomic, hash_parts, write_tensors
from probe.io.settings import settings_line
from probe.run.concept.axes import (
    ConceptAxis,
    association_table,
    concept_axes,
    correlations,
    pair_agreement,
)
from probe.run.concept.words import ConceptWords, concept_hash, gather_words
from probe.run.files import DIRECTION
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.registry import Answer
from probe.run.stages.fit import Fit, read_direction
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed, interval, number, p_value
from probe.text.concepts import FOLDER as SHIPPED
from probe.text.concepts import Concept, concept_names

KEPT = "concepts"
"""Folder of a run with the file of each concept that was studied."""
FOLDER = "latent/concepts"
_N_NAMED = 3  # targets named at each end
_FEW = 5  # pairs or words whose resamples are mostly the same


class ConceptStudy(Study):
    """Fit the axes of a concept, shipped or of a TOML file; place its words and targets on them."""

    requires = ("embed",)
    needs_model = False

    def __init__(self, name_or_path: str | Path) -> None:
        self.concept = Concept.load(name_or_path)
        is_shipped = str(name_or_path) in concept_names()
        self._source = SHIPPED / f"{name_or_path}.toml" if is_shipped else Path(name_or_path)
        self.stem = _stem(self.concept)
        self.name = f"concept {self.stem}"
        self.tables = (f"{FOLDER}/{self.stem}.parquet",)
        self.axes, self.file = (f"{FOLDER}/{self.stem}.{end}" for end in ("safetensors", "json"))

    def kind(self, table: str) -> str:
        """Return the kind of every table of a concept."""
        return "concept"

    @classmethod
    def kept(cls, run: Run) -> list[ConceptStudy]:
        """Every concept that was studied in the run."""
        return [cls(path) for path in sorted((run.folder / KEPT).glob("*.toml"))]

    def copy_into(self, run: Run) -> None:
        """Copy the concept's file into the run."""
        path, content = run.folder / KEPT / f"{self.stem}.toml", self._source.read_bytes()
        if not path.exists() or path.read_bytes() != content:
            with atomic(path) as temporary:
                temporary.write_bytes(content)

    def stale(self, run: Run) -> str | None:
        """Look at every file."""
        return super().stale(run) or stale_files(run, self.made_from(run), self.axes)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the places, and write the axes."""
        drawing = {"resampling": run.config.study.resampling}
        words = gather_words(run, self.concept)
        axes = concept_axes(words, **drawing)
        places = _places(self.concept, words, axes)
        own = read_direction(run)[0].vector if _is_fitted(run) else None
        figures = {
            "concept": self.concept.name,
            "n_prompts": words.n_prompts,
            "n_targets": len(words.targets),
            "axes": [_axis_figures(axis, own) for axis in axes],
            "pair_agreement": pair_agreement(words),
            "correlations": correlations(self.concept, places),
            "measures": association_table(self.concept, words, axes, **drawing).to_dict("records"),
            "note": words.note,
        }
        arrays = {"vectors": np.stack([axis.vector for axis in axes]), "center": axes[0].center}
        write_tensors(run.folder / self.axes, arrays, run.provenance("axes", self.made_from(run)))
        return {"concept": places}, Answer("\n".join(_lines(figures, places)), figures)

    def made_from(self, run: Run) -> str:
        """Hash the settings and inputs."""
        config = settings_line(run.config.study)
        own = run.hashes(DIRECTION) if _is_fitted(run) else ""
        words = concept_hash(self.concept)
        return hash_parts("concept", INTERVALS, config, words, run.revision, own)


def _stem(concept: Concept) -> str:
    """The name of a concept as that of a file."""
    stem = re.sub(r"\W+", "_", concept.name.casefold()).strip("_")
    if not stem or len(stem.encode()) > 100:
        raise DataError(
            f"the name of concept {concept.name!r} in {concept.source} cannot be that of a file; "
            "needed 1 to 100 bytes of letters and digits: change it"
        )
    return stem


def _is_fitted(run: Run) -> bool:
    """Whether the run has a bias axis of its own that is up to date."""
    return not run.config.is_imported and Fit().stale(run) is None


def _places(concept: Concept, words: ConceptWords, axes: list[ConceptAxis]) -> pd.DataFrame:
    """One row a word or target and axis: its place, and the target's figures."""
    group_of = {word: group for group, members in words.groups.items() for word in members}
    names = [*group_of, *words.targets]
    columns = {
        "kind": ["word"] * len(group_of) + ["target"] * len(words.targets),
        "name": names,
        "group": [group_of.get(name, "") for name in names],
        **{
            f"share_{group}": [concept.targets.get(name, {}).get(group, np.nan) for name in names]
            for group in words.groups
        },
    }
    tables = []
    for axis in axes:
        place, low, high = axis.place(words.rows(names)).T
        about = {"toward": axis.toward, "place": place, "low": low, "high": high}
        tables.append(pd.DataFrame({**columns, **about}))
    return pd.concat(tables, ignore_index=True)


def _axis_figures(axis: ConceptAxis, own: Any) -> dict[str, Any]:
    median, high = axis.angles()
    is_resampled = np.isfinite(median)
    return {
        "toward": axis.toward,
        "kind": axis.kind,
        "n_units": axis.n_units,
        "angle_median": median if is_resampled else None,
        "angle_high": high if is_resampled else None,
        "cosine_to_run": None if own is None else float(axis.vector @ own),
    }


def _lines(figures: dict[str, Any], places: pd.DataFrame) -> Iterator[str]:
    """Write the figures of a concept in lines: the axes, then the targets along them."""
    if figures["note"]:
        yield figures["note"]
    targets = places[places["kind"] == "target"]
    for axis in figures["axes"]:
        yield _axis_line(axis)
        rows = targets[targets["toward"] == axis["toward"]].sort_values("place", kind="stable")
        half = len(rows) // 2  # each target is named once
        if len(rows):
            yield f"  most: {_named(rows[half:][::-1])}"
        if half:
            yield f"  least: {_named(rows[:half])}"
    if (agreement := figures["pair_agreement"]) is not None:
        yield f"mean cosine between the differences of two pairs: {number(agreement)}"
    for found in figures["correlations"]:
        r = bracketed(found["r"], found["low"], found["high"])
        yield f"place towards {found['group']} against its figures: r = {r}, n = {found['n']}"
    for found in figures["measures"]:
        yield (
            f"{found['measure']}, {found['toward']}: {interval(found)}, {p_value(found['p'])} "
            f"(Holm: {p_value(found['p_holm'])}), n = {found['n']}"
        )


def _axis_line(axis: dict[str, Any]) -> str:
    n, unit = axis["n_units"], "pair" if axis["kind"] == "pairs" else "word"
    line = f"towards {axis['toward']}, from {n} {unit}{'s' if n > 1 else ''}"
    if axis["angle_median"] is None:
        line += ": nothing to resample, so no interval"
    else:
        line += (
            f": moves by {axis['angle_median']:.1f} degrees when they are resampled (95 % below "
            f"{axis['angle_high']:.1f})"
        )
        if n < _FEW:
            line += f"; fewer than {_FEW} make the intervals too narrow"
    if axis["cosine_to_run"] is not None:
        line += f", cosine {number(axis['cosine_to_run'])} with the run's own axis"
    return line


def _named(rows: pd.DataFrame) -> str:
    shown = []
    for row in rows.head(_N_NAMED).itertuples():
        has_interval = np.isfinite(row.low)
        place = bracketed(row.place, row.low, row.high) if has_interval else number(row.place)
        shown.append(f"{row.name} {place}")
    return ", ".join(shown)
