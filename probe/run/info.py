"""List the files of a run folder with their provenance, and the stages that are up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from probe.io.artifacts import read_provenance
from probe.run.folder import Run
from probe.run.registry import Record, Stage, StudyStage, pipeline

_CARRIERS = (".json", ".parquet", ".safetensors")
_FOLDERS = ("embeddings", "latent", "moesd", "images", "evaluation", "comparison", "figures")
_UNFINISHED = (
    "embeddings/.rows",
    "embeddings/user_prompts/.rows",
    "embeddings/concepts/.rows",
    "evaluation/pieces",
)


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
class Inventory(Record):
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


def take_inventory(run: Run, stages: Sequence[Stage], studies: Iterable[StudyStage]) -> Inventory:
    """Read the provenance of every file, and ask every stage whether it is up to date.

    A study is asked only if it was ever done.

    Raises
    ------
    ArtifactError
        If a file is damaged.
    """
    found: dict[str, str | None] = {}
    done = [study for study in studies if (run.folder / study.file).exists()]
    for stage in (*stages, *done):
        stale = _first_stale(found, stage)
        found[stage.name] = stage.stale(run) if stale is None else f"waits for {stale}"
    files = []
    for path in (path for folder in _FOLDERS for path in sorted((run.folder / folder).rglob("*"))):
        name = path.relative_to(run.folder).as_posix()
        if path.suffix in _CARRIERS and not name.startswith(_UNFINISHED):
            made = read_provenance(path)
            files.append(FileEntry(path=name, **asdict(made)))
    return Inventory(run.config.model, run.revision, found, files)


def _first_stale(found: Mapping[str, str | None], stage: Stage) -> str | None:
    """Name the first stage, of those that one requires, that is not up to date."""
    needed = (each.name for each in pipeline(stage.requires))
    return next((name for name in needed if found.get(name) is not None), None)
