"""What figures and the report read from a run folder, and which stage writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ArtifactError, StageError
from probe.io.artifacts import (
    Provenance,
    hash_file,
    hash_parts,
    read_json,
    read_provenance,
    read_table,
)

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Source:
    """One file of a run folder."""

    path: str
    """Relative to the run folder."""
    kind: str
    """The kind that its provenance must name."""
    stage: str
    """The command that writes it."""
    columns: tuple[str, ...] = ()
    """Columns of a table, or keys of a JSON file, that must be there."""
    is_optional: bool = False
    """Whether a run is complete without it."""


PLANE = ("pca_x", "pca_y", "umap_x", "umap_y", "corrected_x", "corrected_y")


def _source(path: str, kind: str, stage: str, columns: str) -> Source:
    return Source(path, kind, stage, tuple(columns.split()))


SOURCES = {
    "fit": _source("latent/fit.json", "fit", "fit", "share_correlation gap maps"),
    "map": _source(
        *("latent/map.parquet", "map", "fit"),
        f"prompt group subject split share_women bias_score projection {' '.join(PLANE)}",
    ),
    "subjects": _source(
        *("latent/subjects.parquet", "subjects", "fit"), "subject split share_women bias_score"
    ),
    "gate": _source(
        *("moesd/gate.parquet", "gate", "train"),
        "prompt group subject split bias_score bias_score_corrected "
        "route_truth route_closed route_trained",
    ),
    "moesd": _source("moesd/config.json", "moesd", "train", "neutral_below explicit_above kind"),
    "labels": _source(
        *("evaluation/labels.parquet", "labels", "evaluate"),
        "side kind subject split seed prompt file_name key clip_score",
    ),
    "shares": _source(
        *("evaluation/shares.parquet", "shares", "evaluate"),
        "side subject split attribute value n share low high",
    ),
    "fairness": _source(
        *("evaluation/fairness.parquet", "fairness", "evaluate"),
        "side split measure value low high floor n_subjects n_images",
    ),
    "quality": _source(
        *("evaluation/quality.json", "quality", "evaluate"),
        "base corrected difference failures drift n_images attribute value",
    ),
}
"""Every file that is read, by its short name; figures of studies add theirs with `add_source`."""


def add_source(
    name: str, columns: str, *, path: str = "", kind: str = "", stage: str = "probe"
) -> str:
    """Add a file that a run may lack, and return its name.

    Parameters
    ----------
    name : str
        Short name, a key of `SOURCES`.
    columns : str
        Columns of a table, or keys of a JSON file, that must be there, with spaces between.
    path : str, default="latent/NAME.parquet"
        Relative to the run folder.
    kind : str, default=name
        Kind in its provenance.
    stage : str, default="probe"
        Command that writes it.
    """
    path, columns_ = path or f"latent/{name}.parquet", tuple(columns.split())
    SOURCES[name] = Source(path, kind or name, stage, columns_, is_optional=True)
    return name


@dataclass
class RunFiles:
    """Reads the files of one run folder, each once, and checks that they belong together."""

    run: Path
    _read: dict[str, Any] = field(default_factory=dict)

    def require(self, *names: str) -> None:
        """Check that files exist and were made from one model.

        Raises
        ------
        StageError
            If the run or a file is missing: the message names the stage that writes it.
        ArtifactError
            If two files were made from different models.
        """
        first: tuple[str, Provenance] | None = None
        for name in names:
            path = self.path(name)
            if not path.is_file():
                raise StageError(
                    f"{path} is missing; run `moesd-probe {SOURCES[name].stage} {self.run}` first"
                )
            made = read_provenance(path)
            first = first or (name, made)
            if (made.model, made.revision) != (first[1].model, first[1].revision):
                raise ArtifactError(
                    f"{path} was made from {made.model!r} ({made.revision}) but "
                    f"{self.path(first[0])} from {first[1].model!r} ({first[1].revision}); run "
                    f"`moesd-probe run {self.run}` to make all stages anew"
                )

    def has(self, *names: str) -> bool:
        """Whether all files exist."""
        return all(self.path(name).is_file() for name in names)

    def path(self, name: str) -> Path:
        """Path of a file."""
        return self.run / SOURCES[name].path

    def table(self, name: str) -> DataFrame:
        """Read a table; the caller gets a copy.

        Raises
        ------
        StageError
            If it is missing.
        ArtifactError
            If it cannot be read, is empty, or misses a column.
        """
        if name not in self._read:
            self.require(name)
            table, _ = read_table(self.path(name), kind=SOURCES[name].kind)
            self._check(name, set(table.columns))
            if table.empty:
                raise ArtifactError(f"{self.path(name)} has no rows; {self._again(name)}")
            self._read[name] = table
        return self._read[name].copy()

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file.

        Raises
        ------
        StageError
            If it is missing.
        ArtifactError
            If it cannot be read or misses a key.
        """
        if name not in self._read:
            self.require(name)
            data, _ = read_json(self.path(name), kind=SOURCES[name].kind)
            self._check(name, set(data))
            self._read[name] = data
        return dict(self._read[name])

    def provenance(self, kind: str, *names: str) -> Provenance:
        """Provenance of something made from files."""
        made = read_provenance(self.path(names[0]))
        return Provenance(
            kind=kind,
            model=made.model,
            revision=made.revision,
            seed=made.seed,
            made_from=hash_parts(*(hash_file(self.path(name)) for name in names)),
        )

    def _check(self, name: str, found: set[str]) -> None:
        if missing := [column for column in SOURCES[name].columns if column not in found]:
            raise ArtifactError(f"{self.path(name)} misses {missing}; {self._again(name)}")

    def _again(self, name: str) -> str:
        return f"delete it and run `moesd-probe {SOURCES[name].stage} {self.run}` again"
