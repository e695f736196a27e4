"""Any concept that a user can write: its axes, and what leans along them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.artifacts import atomic, hash_parts, write_table, write_tensors
from probe.errors import DataError
from probe.experiment.concepts.axes import (
    ConceptAxis,
    concept_axes,
    pair_agreement,
    told_apart,
)
from probe.experiment.concepts.measures import association_table, correlations
from probe.experiment.concepts.words import ConceptWords, concept_hash, gather_words
from probe.experiment.config import settings_line
from probe.experiment.fitting import DIRECTION, Fit, read_direction
from probe.experiment.run import Run, stale_files
from probe.experiment.studies.study import Study, StudyResult, bracketed
from probe.text.concepts import FOLDER as SHIPPED
from probe.text.concepts import Concept, concept_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = "concepts"
"""Folder of a run with the file of each concept that was looked at."""
FOLDER = "latent/concepts"

_N_NAMED = 3  # targets named at each end
_FEW = 5  # pairs or words of which the draws are mostly the same ones


class ConceptStudy(Study):
    """Fit the axes of a concept, and place its words and targets on them.

    Parameters
    ----------
    file : Path
        The concept's TOML.
    """

    before = "fit"

    def __init__(self, file: Path) -> None:
        self._source = file
        self.concept = Concept.load(file)
        self.stem = _stem(self.concept)
        self.name = f"concept {self.stem}"
        self.table, self.axes, self.file = (
            f"{FOLDER}/{self.stem}.{suffix}" for suffix in ("parquet", "safetensors", "json")
        )

    @classmethod
    def find(cls, name_or_path: str | Path) -> ConceptStudy:
        """Take a concept that is shipped, by its name, or a user's, by its path.

        Raises
        ------
        DataError
            If there is no such concept, or its file is not what it must be.
        """
        if str(name_or_path) in concept_names():
            return cls(SHIPPED / f"{name_or_path}.toml")
        Concept.load(name_or_path)  # says which there are
        return cls(Path(name_or_path))

    @classmethod
    def kept(cls, run: Run) -> list[ConceptStudy]:
        """Every concept that the run has looked at."""
        return [cls(path) for path in sorted((run.folder / KEPT).glob("*.toml"))]

    def copy_into(self, run: Run) -> None:
        """Copy the concept's file into the run, so that the run knows what it looked at."""
        path, content = run.folder / KEPT / f"{self.stem}.toml", self._source.read_bytes()
        if not path.exists() or path.read_bytes() != content:
            with atomic(path) as temporary:
                temporary.write_bytes(content)

    def stale(self, run: Run) -> str | None:
        """Look at every file."""
        return stale_files(run, self.made_from(run), self.table, self.axes, self.file)

    def make(self, run: Run) -> None:
        """Write the places, the axes and the result."""
        config, made_from = run.config.probe, self.made_from(run)
        words = gather_words(run, self.concept)
        axes = concept_axes(words, n_bootstrap=config.n_bootstrap, seed=config.seed)
        places = _places(self.concept, words, axes)
        drawing: dict[str, Any] = {"n_bootstrap": config.n_bootstrap, "seed": config.seed}
        measures = association_table(self.concept, words, axes, **drawing)
        own = read_direction(run)[0].vector if _is_fitted(run) else None
        figures = {
            "concept": self.concept.name,
            "n_prompts": words.n_prompts,
            "n_targets": len(words.targets),
            "axes": [_axis_figures(axis, own) for axis in axes],
            "pair_agreement": pair_agreement(words),
            "told_apart": _told_apart(words),
            "correlations": correlations(self.concept, places, **drawing),
            "measures": measures.to_dict("records"),
            "note": words.note,
        }
        arrays = {"vectors": np.stack([axis.vector for axis in axes]), "center": axes[0].center}
        write_table(run.folder / self.table, places, run.provenance("concept", made_from))
        write_tensors(run.folder / self.axes, arrays, run.provenance("axes", made_from))
        self.keep(run, StudyResult(_lines(figures, places), figures))

    def made_from(self, run: Run) -> str:
        """Hash of the settings and inputs."""
        config = settings_line(run.config.probe, without=("n_refits",))
        own = run.hashes(DIRECTION) if _is_fitted(run) else ""
        return hash_parts("concept", config, concept_hash(self.concept), run.revision, own)


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
    """One row a word or target and axis: where it stands, and the target's figures."""
    home = {word: group for group, members in words.groups.items() for word in members}
    names = [*home, *words.targets]
    z = words.rows(names)
    shares = {target.name: target.shares for target in concept.targets}
    columns = {
        "kind": ["word"] * len(home) + ["target"] * len(words.targets),
        "name": names,
        "group": [home.get(name, "") for name in names],
        **{
            f"share_{group}": [shares.get(name, {}).get(group, np.nan) for name in names]
            for group in words.groups
        },
    }
    tables = []
    for axis in axes:
        place, low, high = axis.place(z).T
        table = pd.DataFrame({**columns, "toward": axis.toward})
        tables.append(table.assign(place=place, low=low, high=high))
    return pd.concat(tables, ignore_index=True)


def _axis_figures(axis: ConceptAxis, own: NDArray[Any] | None) -> dict[str, Any]:
    median, high = axis.angles()
    is_firm = np.isfinite(median)
    return {
        "toward": axis.toward,
        "kind": axis.kind,
        "n_units": axis.n_units,
        "angle_median": median if is_firm else None,
        "angle_high": high if is_firm else None,
        "cosine_to_run": None if own is None else float(axis.vector @ own),
    }


def _told_apart(words: ConceptWords) -> dict[str, Any] | None:
    """Share of words nearest to the mean of their own group's others; None if none can be asked."""
    from probe.latent.resampling import share_interval

    is_right = told_apart({group: words.rows(names) for group, names in words.groups.items()})
    if not len(is_right):
        return None
    value, low, high = share_interval(is_right)
    sizes = [len(names) for names in words.groups.values() if len(names) > 1]
    chance = max(sizes) / sum(sizes)
    return {"value": value, "low": low, "high": high, "n": len(is_right), "chance": chance}


def _lines(figures: dict[str, Any], places: pd.DataFrame) -> list[str]:
    lines = [figures["note"]] if figures["note"] else []
    targets = places[places["kind"] == "target"]
    for axis in figures["axes"]:
        lines.append(_axis_line(axis))
        rows = targets[targets["toward"] == axis["toward"]].sort_values("place", kind="stable")
        half = len(rows) // 2  # each target is named once
        if len(rows):
            lines.append(f"  most: {_named(rows[half:][::-1])}")
        if half:
            lines.append(f"  least: {_named(rows[:half])}")
    if (agreement := figures["pair_agreement"]) is not None:
        lines.append(f"mean cosine between the differences of two pairs: {agreement:.3f}")
    if (told := figures["told_apart"]) is not None:
        lines.append(
            "words nearest to the mean of the others of their group: "
            f"{bracketed(told['value'], told['low'], told['high'])} (chance {told['chance']:.2f}), "
            f"n = {told['n']}"
        )
    lines += list(_association_lines(figures))
    return lines


def _axis_line(axis: dict[str, Any]) -> str:
    n, unit = axis["n_units"], "pair" if axis["kind"] == "pairs" else "word"
    line = f"towards {axis['toward']}, from {n} {unit}{'s' if n > 1 else ''}"
    if axis["angle_median"] is None:
        line += ": nothing to draw anew, so no interval"
    else:
        line += (
            f": moves by {axis['angle_median']:.1f} degrees when they are drawn anew (95 % below "
            f"{axis['angle_high']:.1f})"
        )
        if n < _FEW:
            line += f"; fewer than {_FEW} make the intervals too narrow"
    if axis["cosine_to_run"] is not None:
        line += f", cosine {axis['cosine_to_run']:.3f} with the run's own axis"
    return line


def _named(rows: pd.DataFrame) -> str:
    shown = []
    for row in rows.head(_N_NAMED).itertuples():
        has_interval = np.isfinite(row.low)
        place = bracketed(row.place, row.low, row.high) if has_interval else f"{row.place:.3f}"
        shown.append(f"{row.name} {place}")
    return ", ".join(shown)


def _association_lines(figures: dict[str, Any]) -> Iterator[str]:
    for found in figures["correlations"]:
        yield (
            f"place towards {found['group']} against its figures: "
            f"r = {bracketed(found['r'], found['low'], found['high'])}, n = {found['n']}"
        )
    for found in figures["measures"]:
        yield (
            f"{found['measure']}, {found['toward']}: "
            f"{bracketed(found['value'], found['low'], found['high'])}, p = {found['p']:.2g} "
            f"(Holm {found['p_holm']:.2g}), n = {found['n']}"
        )
