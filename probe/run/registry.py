"""Stages and studies by name: each is one file that registers itself when it is imported.

The tables of ``config.toml``, the options and help of the command line, ``info`` and the report are
derived from here. A plugin registers studies in the same way; see `probe.io.plugins`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Protocol, TypeVar

from probe.io.plugins import Registry
from probe.io.settings import Settings, seed_setting, setting
from probe.stats.resampling import Resampled
from probe.text.languages import language_of


class Result(Protocol):
    """What a stage found, read from its files."""

    def summary(self) -> str:
        """Return a few lines for people."""

    def to_json(self) -> dict[str, Any]:
        """Return the same for programs."""


@dataclass(frozen=True)
class Answer:
    """A result as its text for people and its data for programs."""

    text: str
    data: dict[str, Any]

    def summary(self) -> str:
        """Return the text."""
        return self.text

    def to_json(self) -> dict[str, Any]:
        """Return the data."""
        return self.data


class Stage(ABC):
    """One step of a run, from files to files."""

    name: str
    about: str = ""
    """What it does, in one sentence, for help."""
    requires: tuple[str, ...] = ()
    """Stages that it builds on; what they require is required too."""
    needs_model: bool = True
    """Whether it cannot be done in a run of imported vectors."""
    needs_figures: bool = False
    """Whether it shows results by a function of `figures`, which the caller of a run gives."""
    settings: type[Settings] | None = None
    """Its table of ``config.toml``, if it has one."""

    def check(self, run: Any) -> None:  # noqa: B027
        """Refuse settings that cannot be used with this run, before any work."""

    def imported(self, run: Any, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Copy folders that settings name into the run; returns settings that name the copies."""
        return settings

    @abstractmethod
    def stale(self, run: Any) -> str | None:
        """Say why the outputs are not what the settings and inputs now give; None if they are.

        It is only called when all that is required is up to date.
        """

    @abstractmethod
    def make(self, run: Any) -> None:
        """Write the outputs; the same inputs give the same bytes, whatever stood there before."""

    @abstractmethod
    def result(self, run: Any) -> Result:
        """Read the outputs."""


class StudyStage(Stage):
    """A stage that is done on request; see `probe.run.study.Study`."""

    file: str
    """What it writes last, relative to the run folder."""
    takes: str = ""
    """How long it takes on tinytown, on one CPU core, e.g. ``"2 s"``."""
    is_english: bool = False
    """Whether it is about English prompts only."""

    def unmet(self, run: Any) -> str | None:
        """Say what the study needs that the run does not have; None if nothing."""
        language = language_of(run.lexicon) if self.is_english else None
        return f"it is for English, not {language.name}" if language is not None else None


@dataclass(frozen=True)
class StudyConfig(Resampled, Settings):
    """Settings that all studies share."""

    n_bootstrap: int = setting(2000, "Resamples behind each interval.", minimum=1, maximum=10**6)
    seed: int = seed_setting("Seed of everything that is drawn.")


STUDY = "study"
"""Table of `StudyConfig`, and the command that does the studies."""

STAGES: Registry[Stage] = Registry("stage", "probe.run.stages")
STUDIES: Registry[StudyStage] = Registry("study", "probe.run.studies")

S = TypeVar("S", bound=type[Stage])


def register(kind: S) -> S:
    """Register a stage or a study; a decorator of its class."""
    stage = kind()
    if isinstance(stage, StudyStage):
        STUDIES.add(stage.name, stage)
    else:
        STAGES.add(stage.name, stage)
    return kind


def pipeline(names: Iterable[str] | None = None) -> list[Stage]:
    """Return stages in order: those of the given names and all that they require, or all."""
    names = STAGES if names is None else list(names)
    graph: dict[str, tuple[str, ...]] = {}
    wanted = list(names)
    while wanted:
        if (name := wanted.pop()) not in graph:
            graph[name] = STAGES[name].requires
            wanted += graph[name]
    return [STAGES[name] for name in TopologicalSorter(graph).static_order()]


def studies() -> list[StudyStage]:
    """Return every study: those that require the least of the pipeline first, then by name."""
    return sorted(STUDIES.values(), key=lambda study: (len(pipeline(study.requires)), study.name))


def settings_tables() -> dict[str, type[Settings]]:
    """Return the tables of ``config.toml``: of the stages in order, of all studies, of each."""
    of_stages, of_studies = (
        {step.name: step.settings for step in steps if step.settings is not None}
        for steps in (pipeline(), studies())
    )
    return {**of_stages, STUDY: StudyConfig, **of_studies}
