"""What stands in a run folder: made by what, from what, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from probe.io.artifacts import read_provenance
from probe.run.folder import Run, Stage

_CARRIERS = (".json", ".parquet", ".safetensors")
_ROOMS = ("embeddings", "latent", "moesd", "images", "evaluation", "comparison", "figures")
_UNFINISHED = (
    "embeddings/.rows",
    "embeddings/user_prompts/.rows",
    "embeddings/concepts/.rows",
    "evaluation/pieces",
)


class Requested(Stage, Protocol):
    """A stage that is done on request, and need not be there."""

    before: str
    """It builds on all stages of the road before this one; on all of them if empty."""
    file: str
    """What it writes last, relative to the run folder."""


@dataclass(frozen=True)
class FileEntry:
    """A file and its provenance."""

    path: str
    kind: str
    model: str
    revision: str
    seed: int | None
    made_from: str
    schema: int
    version: str


@dataclass(frozen=True)
class Inventory:
    """Files and stages of a run."""

    model: str
    revision: str
    stages: dict[str, str | None]
    """By stage: None if it is up to date, otherwise what is not."""
    files: list[FileEntry]

    def summary(self) -> str:
        """Two tables for people."""
        lines = [f"model {self.model}, revision {self.revision}", ""]
        width = max(len(name) for name in self.stages) + 2
        for name, why in self.stages.items():
            lines.append(f"{name:<{width}}{'up to date' if why is None else why}")
        rows = [("file", "kind", "seed", "made from", "version")]
        for entry in self.files:
            seed = "" if entry.seed is None else str(entry.seed)
            rows.append((entry.path, entry.kind, seed, entry.made_from, entry.version))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows if self.files else []:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def take_inventory(run: Run, stages: Sequence[Stage], requested: Iterable[Requested]) -> Inventory:
    """Read the provenance of every file, and ask every stage whether it is up to date.

    One that is done on request is asked only if it was ever done.

    Raises
    ------
    ArtifactError
        If a file is damaged.
    """
    found: dict[str, str | None] = {}
    for stage in stages:
        late = _first_late(found)
        found[stage.name] = stage.stale(run) if late is None else f"waits for {late}"
    for stage in requested:
        if (run.folder / stage.file).exists():
            late = _first_late(found, stage.before)
            found[stage.name] = stage.stale(run) if late is None else f"waits for {late}"
    files = []
    for path in (path for room in _ROOMS for path in sorted((run.folder / room).rglob("*"))):
        name = path.relative_to(run.folder).as_posix()
        if path.suffix in _CARRIERS and not name.startswith(_UNFINISHED):
            made = read_provenance(path)
            files.append(FileEntry(path=name, **asdict(made)))
    return Inventory(run.config.model, run.revision, found, files)


def _first_late(found: Mapping[str, str | None], before: str = "") -> str | None:
    """Name the first stage before a certain one that is not up to date."""
    for name, why in found.items():
        if name == before:
            break
        if why is not None:
            return name
    return None
