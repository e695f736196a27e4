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
from probe.run.files import FAIRNESS, FIT, GATE, LABELS, MAP, QUALITY, SHARES, SUBJECTS
from probe.run.registry import STUDY

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
    is_optional: bool = False
    """Whether a run is complete without it."""


SOURCES = {
    "fit": Source(FIT, "fit", "fit"),
    "map": Source(MAP, "map", "fit"),
    "subjects": Source(SUBJECTS, "subjects", "fit"),
    "gate": Source(GATE, "gate", "train"),
    "moesd": Source("moesd/config.json", "moesd", "train"),
    "labels": Source(LABELS, "labels", "evaluate"),
    "shares": Source(SHARES, "shares", "evaluate"),
    "fairness": Source(FAIRNESS, "fairness", "evaluate"),
    "quality": Source(QUALITY, "quality", "evaluate"),
}
"""Every file that is read, by its short name; figures of studies add theirs with `add_source`."""


def add_source(name: str, *, path: str = "", kind: str = "", stage: str = STUDY) -> str:
    """Add a file that a run may lack, and return its short name, a key of `SOURCES`.

    By default it is ``latent/NAME.parquet``, and the kind in its provenance is its name.
    """
    SOURCES[name] = Source(path or f"latent/{name}.parquet", kind or name, stage, is_optional=True)
    return name


@dataclass
class RunFiles:
    """Reads the files of one run folder, each once, and checks that they belong together."""

    run: Path
    _read: dict[str, Any] = field(default_factory=dict)

    def require(self, *names: str) -> None:
        """Check that files exist and were made from one model; errors name what to run."""
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
        """Read a table; the caller gets a copy."""
        if name not in self._read:
            self.require(name)
            self._read[name], _ = read_table(self.path(name), kind=SOURCES[name].kind)
        table: DataFrame = self._read[name]
        return table.copy()

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file."""
        if name not in self._read:
            self.require(name)
            self._read[name], _ = read_json(self.path(name), kind=SOURCES[name].kind)
        return dict(self._read[name])

    def provenance(self, kind: str, *names: str) -> Provenance:
        """Provenance of something made from files."""
        made = read_provenance(self.path(names[0]))
        made_from = hash_parts(*(hash_file(self.path(name)) for name in names))
        return Provenance(kind, made.model, made.revision, made.seed, made_from)
