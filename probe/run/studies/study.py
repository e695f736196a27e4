"""What the studies share: the prompts they look at, and how a result is kept and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from probe.io.artifacts import hash_parts, read_json, write_json
from probe.run.config import OF_LEVELS, settings_line
from probe.run.folder import INTERVALS, Run
from probe.run.stages.embed import FILES as EMBEDDINGS
from probe.run.stages.fit import DIRECTION, SUBJECTS


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


class Study(ABC):
    """A stage that is done on request."""

    name: str
    before = "train"
    """It builds on all stages of the road before this one; on all of them if empty."""
    file: str
    """What it writes last, relative to the run folder."""
    inputs: tuple[str, ...] = ()
    """What it reads besides the embeddings, the direction and the subjects."""

    @abstractmethod
    def stale(self, run: Run) -> str | None:
        """Why the outputs are not what the settings and inputs now give; None if they are."""

    @abstractmethod
    def make(self, run: Run) -> None:
        """Write the outputs, ``file`` last."""

    def lacks(self, run: Run) -> str | None:
        """Why this run has too little for it; None if it has enough."""
        return None

    def result(self, run: Run) -> StudyResult:
        """Read what was found."""
        return StudyResult(**read_json(run.folder / self.file, kind="study")[0])

    def keep(self, run: Run, result: StudyResult) -> None:
        """Write what was found."""
        data = {"lines": result.lines, "figures": result.figures}
        made = run.provenance("study", self.made_from(run), seed=run.config.probe.seed)
        write_json(run.folder / self.file, data, made)

    def made_from(self, run: Run) -> str:
        """Hash of the settings and of everything that is read."""
        files = run.hashes(*EMBEDDINGS, DIRECTION, SUBJECTS, *self.inputs)
        return hash_parts(f"study of {self.name}", INTERVALS, common_settings(run), files)


def common_settings(run: Run) -> str:
    """One line that says the settings that are not those of one study alone."""
    return settings_line(run.config.probe, without=OF_LEVELS)


def bracketed(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Write ``value [low, high]``."""
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
