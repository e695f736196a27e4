"""The stages of a run in order: which are up to date, and bringing one up to date."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from probe.errors import DataError, OptionError, StageError
from probe.io.artifacts import read_provenance
from probe.run.folder import Run
from probe.run.registry import (
    STUDIES,
    STUDY,
    Answer,
    Result,
    Stage,
    StudyConfig,
    StudyStage,
    pipeline,
    studies,
)

_CARRIERS = (".json", ".parquet", ".safetensors")
_FOLDERS = ("embeddings", "latent", "moesd", "images", "evaluation", "comparison", "figures")
_UNFINISHED = (
    "embeddings/.rows",
    "embeddings/user_prompts/.rows",
    "embeddings/concepts/.rows",
    "evaluation/pieces",
)


@dataclass(frozen=True)
class Outcome:
    """Whether a stage was made, why, and what it found."""

    stage: str
    was_made: bool
    """False if it was up to date."""
    why: str
    """Why it was made, or was not."""
    result: Result

    def line(self) -> str:
        """Return one line for people."""
        return f"{self.stage}: {'made' if self.was_made else 'skipped'} ({self.why})"

    def to_json(self) -> dict[str, Any]:
        """Return the result, and under ``stage`` whether it was made and why."""
        stage = {"name": self.stage, "was_made": self.was_made, "why": self.why}
        return {**self.result.to_json(), "stage": stage}


OnOutcome = Callable[[Outcome], None]
"""Called with each outcome as soon as it is known."""


@dataclass(frozen=True)
class Inventory:
    """Stages and files of a run."""

    model: str
    revision: str
    recipe: str
    """Of the training, with the settings that are not the recipe's."""
    stages: dict[str, str | None]
    """By stage: None if it is up to date, otherwise why not."""
    files: list[dict[str, Any]]
    """``path`` of each file, and the fields of its `Provenance`."""

    def to_json(self) -> dict[str, Any]:
        """Return every field."""
        return asdict(self)

    def summary(self, *, is_full: bool = False) -> str:
        """What is out of date, and why; in full, every stage, the revision and every file."""
        stages = [(name, why) for name, why in self.stages.items() if why is not None]
        done = ", ".join(name for name, why in self.stages.items() if why is None)
        head = f"model {self.model}, recipe {self.recipe}"
        lines = [head, f"up to date: {done or 'nothing'}", *_aligned(stages)]
        if not is_full:
            return "\n".join([*lines, f"{len(self.files)} files; list them with --full"])
        files = [("file", "kind", "seed", "made from", "version")]
        for of in self.files:
            seed = "" if of["seed"] is None else str(of["seed"])
            files.append((of["path"], of["kind"], seed, of["made_from"], of["version"]))
        return "\n".join([*lines, f"revision {self.revision}", "", *_aligned(files)])


def stages_of(run: Run, *, with_figures: bool = False) -> list[Stage]:
    """Return the stages that a run has, in order; those of imported vectors need no model."""
    return [
        stage
        for stage in pipeline()
        if not (run.config.is_imported and stage.needs_model)
        and (with_figures or not stage.needs_figures)
    ]


def check_stale(run: Run) -> None:
    """Check the settings of every stage that is to be made, before any is."""
    stages = stages_of(run)
    for number, stage in enumerate(stages):
        if stage.stale(run) is not None:  # the stages after it will be made too
            for later in stages[number:]:
                later.check(run)
            return


def require(run: Run, name: str, requires: Sequence[str], *, needs_model: bool = True) -> None:
    """Refuse ``name`` with a `StageError` unless all that it requires is up to date."""
    if needs_model:
        require_model(run, name)
    if why_not := _unmet(run, requires):
        raise StageError(f"{name} {why_not}")


def require_model(run: Run, name: str) -> None:
    """Refuse ``name`` with a `StageError` in a run of imported vectors."""
    if run.config.is_imported:
        raise StageError(
            f"{run.folder} holds imported vectors and no model, which {name} needs; look at "
            f"them with `moesd-probe concept {run.folder} gender`, or start a run of a model "
            "in another folder"
        )


def bring_up_to_date(stage: Stage, run: Run) -> Outcome:
    """Make what a stage writes, if it is not up to date; its requirements must be."""
    why = stage.stale(run)
    if why is not None:
        stage.make(run)
    reason = "its settings and inputs are those it was made from" if why is None else why
    return Outcome(stage.name, why is not None, reason, stage.result(run))


def bring_all(
    stages: Iterable[tuple[Stage, str | None]], run: Run, on_outcome: OnOutcome | None
) -> list[Outcome]:
    """Bring stages up to date in turn, but for those with a reason why they cannot be."""
    outcomes = []
    for stage, why_not in stages:
        outcome = Outcome(stage.name, False, why_not or "", Answer("", {}))
        if why_not is None:
            outcome = bring_up_to_date(stage, run)
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return outcomes


def choose_studies(run: Run, names: Sequence[str]) -> list[tuple[StudyStage, str | None]]:
    """Return the named studies, or all, each with the reason why the run does not allow it.

    A named study that the run does not allow is refused, and so are all if it allows none.
    """
    if unknown := [name for name in names if name not in STUDIES]:
        raise OptionError(f"no study is called {unknown[0]!r}; choose from {', '.join(STUDIES)}")
    chosen = [study for study in studies() if not names or study.name in names]
    found = [(study, _unmet(run, study.requires) or study.unmet(run)) for study in chosen]
    if names or all(why_not for _, why_not in found):
        for study, why_not in found:
            require(run, study.name, study.requires)
            if why_not is not None:
                raise DataError(f"the study {study.name} cannot be done on {run.folder}: {why_not}")
    return found


def list_studies(run: Run) -> Answer:
    """List every study: what it finds, what it requires, how long it takes, and its state."""
    rows, found = [], {}
    for study in studies():
        state = _unmet(run, study.requires) or study.unmet(run)
        if state is None:
            state = "can be done" if study.stale(run) else "done"
        found[study.name] = {"about": study.about, "requires": list(study.requires)}
        found[study.name] |= {"takes": study.takes, "state": state}
        rows.append((study.name, f"after {study.requires[-1]}", study.takes, state))
    text = [f"{row}\n  {study.about}" for row, study in zip(_aligned(rows), studies(), strict=True)]
    return Answer("\n".join([*text, "Times are for tinytown, on one CPU core."]), found)


def by_table(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort settings of studies into their tables; one that all studies share is of ``study``."""
    owners = {item.name: STUDY for item in fields(StudyConfig)}
    for study in studies():
        if study.settings is not None:
            owners |= {item.name: study.name for item in fields(study.settings)}
    found: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        if name not in owners:
            raise OptionError(f"no study has a setting {name!r}; known are {', '.join(owners)}")
        found.setdefault(owners[name], {})[name] = value
    return found


def take_inventory(run: Run, studies: Iterable[StudyStage]) -> Inventory:
    """Ask every stage whether it is up to date, and read the provenance of every file.

    A study is asked only if it was ever done, figures and page only if the run can compose it.
    """
    found: dict[str, str | None] = {}
    done = [study for study in studies if (run.folder / study.file).exists()]
    for stage in (*stages_of(run, with_figures="render" in run.functions), *done):
        required = (each.name for each in pipeline(stage.requires))
        stale = next((name for name in required if found.get(name) is not None), None)
        found[stage.name] = stage.stale(run) if stale is None else f"waits for {stale}"
    files = []
    for path in (path for folder in _FOLDERS for path in sorted((run.folder / folder).rglob("*"))):
        name = path.relative_to(run.folder).as_posix()
        if path.suffix in _CARRIERS and not name.startswith(_UNFINISHED):
            files.append({"path": name, **asdict(read_provenance(path))})
    recipe = run.config.train.recipe_line
    return Inventory(run.config.model, run.revision, recipe, found, files)


def _unmet(run: Run, requires: Sequence[str]) -> str | None:
    """Name the first stage, of those required, that is not up to date, and the way out."""
    for stage in pipeline(requires):
        if (why := stage.stale(run)) is not None:
            how = f"{stage.name} {run.folder}" + (
                " --import FILE" if run.config.is_imported else ""
            )
            return f"requires {stage.name}, but {why}; run `moesd-probe {how}` first"
    return None


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
