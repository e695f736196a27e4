"""Study of a concept: its axes, and where its targets are on them."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.errors import DataError
from probe.io.artifacts import atomic, hash_parts, write_tensors
from probe.io.settings import settings_line
from probe.run.concept.axes import (
    ConceptAxis,
    concept_axes,
    nearest_own_group,
    pair_agreement,
)
from probe.run.concept.formatting import summarise
from probe.run.concept.measures import association_table, correlations
from probe.run.concept.words import ConceptWords, concept_hash, gather_words
from probe.run.files import DIRECTION
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.stages.fit import Fit, read_direction
from probe.run.study import Study, StudyResult, Tables
from probe.text.concepts import FOLDER as SHIPPED
from probe.text.concepts import Concept, concept_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = "concepts"
"""Folder of a run with the file of each concept that was looked at."""
FOLDER = "latent/concepts"


class ConceptStudy(Study):
    """Fit the axes of a concept, and place its words and targets on them.

    Parameters
    ----------
    file : Path
        The concept's TOML.
    """

    requires = ("embed",)
    needs_model = False

    def __init__(self, file: Path) -> None:
        self._source = file
        self.concept = Concept.load(file)
        self.stem = _stem(self.concept)
        self.name = f"concept {self.stem}"
        self.tables = (f"{FOLDER}/{self.stem}.parquet",)
        self.axes, self.file = (f"{FOLDER}/{self.stem}.{end}" for end in ("safetensors", "json"))

    def kind(self, table: str) -> str:
        """Return the kind of every table of a concept."""
        return "concept"

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
        return super().stale(run) or stale_files(run, self.made_from(run), self.axes)

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the places, and write the axes."""
        config, made_from = run.config.probe, self.made_from(run)
        words = gather_words(run, self.concept)
        axes = concept_axes(words, resampling=config.resampling)
        places = _places(self.concept, words, axes)
        drawing: dict[str, Any] = {"resampling": config.resampling}
        measures = association_table(self.concept, words, axes, **drawing)
        own = read_direction(run)[0].vector if _is_fitted(run) else None
        figures = {
            "concept": self.concept.name,
            "n_prompts": words.n_prompts,
            "n_targets": len(words.targets),
            "axes": [_axis_figures(axis, own) for axis in axes],
            "pair_agreement": pair_agreement(words),
            "separation": _separation(words),
            "correlations": correlations(self.concept, places),
            "measures": measures.to_dict("records"),
            "note": words.note,
        }
        arrays = {"vectors": np.stack([axis.vector for axis in axes]), "center": axes[0].center}
        write_tensors(run.folder / self.axes, arrays, run.provenance("axes", made_from))
        return {"concept": places}, StudyResult(summarise(figures, places), figures)

    def made_from(self, run: Run) -> str:
        """Hash the settings and inputs."""
        config = settings_line(run.config.probe)
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


def _separation(words: ConceptWords) -> dict[str, Any] | None:
    """Share of words nearest to the mean of their own group's others; None if none can be asked."""
    from probe.stats.proportion import proportion_interval

    is_right = nearest_own_group(
        {group: words.rows(names) for group, names in words.groups.items()}
    )
    if not len(is_right):
        return None
    found = proportion_interval(is_right, unit="words")
    sizes = [len(names) for names in words.groups.values() if len(names) > 1]
    chance = max(sizes) / sum(sizes)
    return {**asdict(found), "chance": chance}
