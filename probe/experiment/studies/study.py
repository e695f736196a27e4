"""What the studies share: the prompts they look at, and how a result is kept and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from probe.artifacts import hash_parts, read_json, write_json
from probe.experiment.config import settings_line
from probe.experiment.embedding import FILES as EMBEDDINGS
from probe.experiment.fitting import DIRECTION, FIT, SUBJECTS
from probe.experiment.run import Run, Stage


class Study(Stage, Protocol):
    """A stage that is done on request."""

    before: str
    """It builds on all stages of the road before this one; on all of them if empty."""
    file: str
    """What it writes last, relative to the run folder."""


@dataclass(frozen=True)
class StudyResult:
    """What a study found."""

    lines: list[str]
    """For people."""
    figures: dict[str, Any]
    """The same for programs."""

    def summary(self) -> str:
        """The lines."""
        return "\n".join(self.lines)

    def to_json(self) -> dict[str, Any]:
        """The figures."""
        return self.figures


def study_made_from(name: str, run: Run, *inputs: str) -> str:
    """Hash of a study's settings and of everything it reads."""
    files = run.hashes(*EMBEDDINGS, DIRECTION, SUBJECTS, FIT, *inputs)
    return hash_parts(f"study of {name}", settings_line(run.config.probe), files)


def write_result(run: Run, path: str, result: StudyResult, made_from: str) -> None:
    """Keep a result; the last file that a study writes."""
    data = {"lines": result.lines, "figures": result.figures}
    provenance = run.provenance("study", made_from, seed=run.config.probe.seed)
    write_json(run.folder / path, data, provenance)


def read_result(run: Run, path: str) -> StudyResult:
    """Read a result that was kept."""
    return StudyResult(**read_json(run.folder / path, kind="study")[0])


def bracketed(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Write ``value [low, high]``."""
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
