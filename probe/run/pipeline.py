"""The road of a run: its stages in order, what is up to date, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from probe.errors import StageError
from probe.run.folder import Result, Run, Stage
from probe.run.imported_vectors import Import
from probe.run.stages.embed import Embed
from probe.run.stages.evaluate import Evaluate
from probe.run.stages.fit import Fit
from probe.run.stages.generate import Generate
from probe.run.stages.train import Train
from probe.run.studies.study import Study

_STAGES: tuple[Stage, ...] = (Embed(), Fit(), Train(), Generate(), Evaluate())
_WITHOUT_MODEL = ("embed", "concept", "export")


@dataclass(frozen=True)
class Outcome:
    """What became of one stage."""

    stage: str
    was_made: bool
    """False if it was up to date."""
    why: str
    """Why it was made, or was not."""
    result: Result

    def line(self) -> str:
        """One line for people."""
        return f"{self.stage}: {'made' if self.was_made else 'skipped'} ({self.why})"

    def to_json(self) -> dict[str, Any]:
        """The result, and under ``stage`` what became of it."""
        told = {"name": self.stage, "was_made": self.was_made, "why": self.why}
        return {**self.result.to_json(), "stage": told}


class Road:
    """The stages of one run; those of imported vectors are few.

    Attributes
    ----------
    stages : tuple of Stage
        In order; a stage builds on all before it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.stages: tuple[Stage, ...] = (Import(),) if run.config.is_imported else _STAGES

    def require(self, name: str, *, before: str) -> None:
        """See that every stage before a certain one is up to date, which ``name`` builds on.

        Raises
        ------
        StageError
            If one is not, or the run has no model and ``name`` needs one.
        """
        self.require_model(name)
        if (late := self.late(before=before)) is not None:
            stage, why = late
            how = f"{stage} {self._run.folder}"
            how += " --import FILE" if self._run.config.is_imported else ""
            raise StageError(f"{name} builds on {stage}, but {why}; run `moesd-probe {how}` first")

    def require_model(self, name: str) -> None:
        """See that the run has a model, unless ``name`` needs none.

        Raises
        ------
        StageError
            If it has none.
        """
        folder = self._run.folder
        if self._run.config.is_imported and name not in _WITHOUT_MODEL:
            raise StageError(
                f"{folder} holds imported vectors and no model, which {name} needs; look at "
                f"them with `moesd-probe concept {folder} gender`, or start a run of a model "
                "in another folder"
            )

    def allows(self, study: Study) -> bool:
        """Whether to do a study that nobody named; what needs the text alone is always done."""
        has_enough = study.lacks(self._run) is None
        return bool(study.before) or (has_enough and self.late(before=study.before) is None)

    def late(self, *, before: str) -> tuple[str, str] | None:
        """Find the first stage before a certain one that is not up to date, and say why."""
        for stage in takewhile(lambda known: known.name != before, self.stages):
            if (why := stage.stale(self._run)) is not None:
                return stage.name, why
        return None


def bring_up_to_date(stage: Stage, run: Run) -> Outcome:
    """Make what a stage leaves, if it is not up to date."""
    why = stage.stale(run)
    if why is not None:
        stage.make(run)
    said = "its settings and inputs are those it was made from" if why is None else why
    return Outcome(stage.name, why is not None, said, stage.result(run))
