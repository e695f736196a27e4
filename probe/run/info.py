"""The stages of a run that are up to date, and its files with their provenance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from probe.io.artifacts import read_provenance
from probe.run.folder import Run
from probe.run.pipeline import stages_of
from probe.run.registry import Record, StudyStage, pipeline

_CARRIERS = (".json", ".parquet", ".safetensors")
_FOLDERS = ("embeddings", "latent", "moesd", "images", "evaluation", "comparison", "figures")
_UNFINISHED = (
    "embeddings/.rows",
    "embeddings/user_prompts/.rows",
    "embeddings/concepts/.rows",
    "evaluation/pieces",
)


@dataclass(frozen=True)
class Inventory(Record):
    """Stages and files of a run."""

    model: str
    revision: str
    stages: dict[str, str | None]
    """By stage: None if it is up to date, otherwise why not."""
    files: list[dict[str, Any]]
    """``path`` of each file, and the fields of its `Provenance`."""

    def summary(self) -> str:
        """Two tables."""
        stages = [(name, why or "up to date") for name, why in self.stages.items()]
        files = [("file", "kind", "seed", "made from", "version")] if self.files else []
        for of in self.files:
            seed = "" if of["seed"] is None else str(of["seed"])
            files.append((of["path"], of["kind"], seed, of["made_from"], of["version"]))
        head = f"model {self.model}, revision {self.revision}"
        return "\n".join([head, "", *_aligned(stages), *_aligned(files)])


def take_inventory(run: Run, studies: Iterable[StudyStage]) -> Inventory:
    """Ask every stage whether it is up to date, and read the provenance of every file.

    A study is asked only if it was ever done.
    """
    found: dict[str, str | None] = {}
    done = [study for study in studies if (run.folder / study.file).exists()]
    for stage in (*stages_of(run), *done):
        required = (each.name for each in pipeline(stage.requires))
        stale = next((name for name in required if found.get(name) is not None), None)
        found[stage.name] = stage.stale(run) if stale is None else f"waits for {stale}"
    files = []
    for path in (path for folder in _FOLDERS for path in sorted((run.folder / folder).rglob("*"))):
        name = path.relative_to(run.folder).as_posix()
        if path.suffix in _CARRIERS and not name.startswith(_UNFINISHED):
            files.append({"path": name, **asdict(read_provenance(path))})
    return Inventory(run.config.model, run.revision, found, files)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
