"""A run folder as an object: its stages in order, what is up to date, what is done next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from probe.errors import DataError, OptionError
from probe.io.progress import NamedProgress
from probe.run.compare.stage import CompareMethods
from probe.run.concept import ConceptStudy
from probe.run.config import Config
from probe.run.create import held, start, start_imported
from probe.run.export import ExportResult, export_embeddings
from probe.run.files import EMBEDDED
from probe.run.folder import Run, check_model
from probe.run.info import Inventory, take_inventory
from probe.run.inspect_prompt import Inspection, inspect_prompt
from probe.run.new_settings import change_settings, check_paths, kept_settings
from probe.run.pipeline import (
    Outcome,
    bring_up_to_date,
    check_stale,
    first_stale,
    require,
    require_model,
    stages_of,
)
from probe.run.publish import PublishResult, publish
from probe.run.registry import PROBE, STAGES, STUDIES, ProbeConfig, Stage, StudyStage, studies
from probe.run.stages.visualize import (
    Draw,
    DrawConcept,
    DrawFigure,
    Render,
    Report,
    Visualize,
    VisualizeResult,
)
from probe.run.study import StudyResult
from probe.text.prompt_files import PromptFile
from probe.text.vectors import NamedVectors

if TYPE_CHECKING:
    from probe.run.sequential_audit import StoppedAudit

Card = TypeVar("Card")


class Experiment:
    """A run folder.

    Every stage reads its inputs from the folder and writes its outputs there; each file carries
    the hash of what it was made from, so a stage whose outputs carry the hash of today's settings
    and inputs is up to date and is not made again. A stage may be stopped at any moment: files are
    whole or absent, and the same call goes on.

    Parameters
    ----------
    run : Run
        The folder, opened; see `create` and `open`.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        model: str,
        seed: int | None = None,
        lexicon: Path | None = None,
        encoder: str | None = None,
        prompts: PromptFile | None = None,
        device: str = "cpu",
        progress: NamedProgress | None = None,
    ) -> Experiment:
        """Start a run, or go on with one of the same model.

        Parameters
        ----------
        folder : path
            Made if need be.
        model : str
            ``"tinytown"``, a folder or a hub id.
        seed : int, optional
            Seed of every stage; 0 in a new run if not given.
        lexicon : Path, optional
            Words and templates; copied into the folder.
        encoder : str, optional
            Text encoder of the pipeline, e.g. ``"text_encoder_2"``; its first one if not given.
        prompts : PromptFile, optional
            Prompts of the user's own, as `probe.read_prompts` reads them; kept in the folder.
        device : str
            Where weights live.
        progress : callable, optional
            Called with (what is being done, how much is done, how much there is).

        Raises
        ------
        ArtifactError
            If the folder is a file, cannot be written, or is a run of another model or encoder.
        ModelError
            If there is no such model.
        ValueError
            If the pipeline has no such encoder.
        DataError
            If the lexicon is not what it must be.
        """
        start(
            Path(folder), model=model, seed=seed, lexicon=lexicon, encoder=encoder, prompts=prompts
        )
        return cls.open(folder, device=device, progress=progress)

    @classmethod
    def from_vectors(
        cls,
        folder: str | Path,
        vectors: NamedVectors,
        *,
        seed: int | None = None,
        progress: NamedProgress | None = None,
    ) -> Experiment:
        """Start a run of vectors that were made elsewhere; it has no model and needs no torch.

        Parameters
        ----------
        folder : path
            Made if need be.
        vectors : NamedVectors
            As `probe.read_vectors` reads them; kept in the folder as they are.
        seed : int, optional
            Seed of all that is drawn; 0 in a new run if not given.
        progress : callable, optional
            As in `create`.

        Raises
        ------
        ArtifactError
            If the folder is a file, cannot be written, or is a run of a model or of other vectors.
        """
        start_imported(Path(folder), vectors, seed=seed)
        return cls.open(folder, progress=progress)

    @classmethod
    def open(
        cls, folder: str | Path, *, device: str = "cpu", progress: NamedProgress | None = None
    ) -> Experiment:
        """Open a run that has been started.

        Raises
        ------
        ArtifactError
            If the folder is no run, its settings are wrong, or other weights made it.
        """
        folder = Path(folder)
        run = Run(folder, Config.read(folder), device=device, progress=progress)
        check_paths(run)
        check_model(run, EMBEDDED[1])
        return cls(run)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._run.folder

    @property
    def config(self) -> Config:
        """Every setting."""
        return self._run.config

    def set(self, stage: str, **settings: Any) -> Experiment:
        """Change settings of a stage, in ``config.toml`` too; returns the experiment itself.

        A file that a setting names is copied into the run. If anything is wrong, nothing changes.

        Raises
        ------
        StageError
            If the stage needs a model and the run has none.
        OptionError
            If a setting is unknown, of another type, or out of range, or names a missing file.
        DataError, ModelError
            If a file or a model that a setting names is not what it must be.
        """
        changed = self._changed({stage: settings})
        if changed is not self._run:
            with held(self.folder, by_all=stage == "train"), self._kept(changed):
                pass
        return self

    def embed(self) -> Outcome:
        """Embed every prompt; in a run of imported vectors, count them."""
        return self._do(STAGES["embed"])

    def fit(self, **settings: Any) -> Outcome:
        """Fit the bias direction and place the prompts on it; settings of `FitConfig`."""
        return self._do(STAGES["fit"], settings)

    def train(self, **settings: Any) -> Outcome:
        """Train the correction; settings of `TrainConfig`."""
        return self._do(STAGES["train"], settings)

    def generate(self, **settings: Any) -> Outcome:
        """Make pictures with both models; settings of `GenerateConfig`."""
        return self._do(STAGES["generate"], settings)

    def evaluate(self, **settings: Any) -> Outcome:
        """Measure the pictures; settings of `EvaluateConfig`."""
        return self._do(STAGES["evaluate"], settings)

    def audit_until_settled(
        self, low: float, high: float, *, n_max: int = 200, side: str = "corrected"
    ) -> StoppedAudit:
        """Make pictures of each occupation until its share is known to be within a band, or not.

        See `probe.run.sequential_audit.audit_until_settled`.

        Raises
        ------
        ValueError
            If the band is none, or there is no such side.
        StageError
            If the run has no model, or what makes the pictures has not been trained.
        """
        from probe.run.sequential_audit import audit_until_settled
        from probe.stats.sequential import Band

        band = Band(low, high)
        with held(self.folder):
            require(self._run, "evaluate", ("embed",) if side == "base" else ("train",))
            return audit_until_settled(self._run, band=band, side=side, n_max=n_max)

    def visualize(self, draw: Draw) -> Outcome:
        """Draw the figures with ``draw``: `figures.drawing.draw`."""
        return self._do(Visualize(draw))

    def draw(self, draw: Callable[[Path], list[Path]]) -> VisualizeResult:
        """Draw some figures, or in another way than `visualize` does; no stage is marked as done.

        Parameters
        ----------
        draw : callable
            Run folder to the files written; see `figures.drawing.draw`, which says what it refuses.
        """
        require_model(self._run, "visualize")
        with held(self.folder):
            files = draw(self.folder)
        return VisualizeResult(sorted(path.relative_to(self.folder).as_posix() for path in files))

    def report(self, render: Render) -> Outcome:
        """Write the page; ``render`` is `figures.report.render_report`."""
        return self._do(Report(render))

    def run(
        self,
        draw: Draw,
        render: Render,
        *,
        tell: Callable[[Outcome], None] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[Outcome]:
        """Do every stage that is not up to date, in order; all settings are checked before.

        Parameters
        ----------
        draw, render : callable
            As for `visualize` and `report`.
        tell : callable, optional
            Called with each outcome as soon as it is there.
        settings : mapping of str to mapping, optional
            Settings to change, by stage; they are kept if all stages succeed.
        """
        require_model(self._run, "run")
        outcomes = []
        changed = self._changed(settings or {})
        with held(self.folder):
            check_stale(changed)
            with self._kept(changed):
                for stage in (*stages_of(self._run), Visualize(draw), Report(render)):
                    outcomes.append(bring_up_to_date(stage, self._run))
                    if tell is not None:
                        tell(outcomes[-1])
        return outcomes

    def probe(
        self,
        *names: str,
        tell: Callable[[Outcome], None] | None = None,
        **settings: Any,
    ) -> list[Outcome]:
        """Look deeper into the text encoder; settings of `ProbeConfig`.

        Parameters
        ----------
        names : str
            Of `probe.run.registry.STUDIES`. If none is named, all that the run allows; the
            outcomes of the others say why they were skipped.
        tell : callable, optional
            Called with each outcome as soon as it is there.

        Raises
        ------
        ValueError
            If there is no such study.
        StageError
            If a stage that a named study builds on is not up to date, or the run has no model.
            Nothing has been done then.
        """
        if unknown := [name for name in names if name not in STUDIES]:
            raise OptionError(
                f"no study is called {unknown[0]!r}; choose from {', '.join(STUDIES)}"
            )
        require_model(self._run, PROBE)
        changed = self._changed(_by_table(settings))
        outcomes = []
        with held(self.folder):
            chosen = _choose(changed, names)
            with self._kept(changed):
                for study, why_not in chosen:
                    outcome = Outcome(study.name, False, why_not or "", StudyResult([], {}))
                    if why_not is None:
                        outcome = bring_up_to_date(study, self._run)
                    outcomes.append(outcome)
                    if tell is not None:
                        tell(outcome)
        return outcomes

    def concept(
        self,
        name_or_path: str | Path,
        draw: DrawConcept | None = None,
        **settings: Any,
    ) -> Outcome:
        """Look at a concept: its axes, how firm they are, and what leans along them.

        Parameters
        ----------
        name_or_path : str or Path
            A concept that is shipped (``"gender"``, ``"age"``, ...), or a TOML file; see
            `probe.text.concepts.Concept`. Its file is copied into the run.
        draw : callable, optional
            Draws the figure: `figures.concept.draw_concept`, which this library does not know.
        settings
            Of `ProbeConfig`.

        Raises
        ------
        DataError
            If there is no such concept, its file is not what it must be, or imported vectors lack
            its words.
        StageError
            If the prompts have not been embedded.
        """
        study = ConceptStudy.find(name_or_path)
        changed = self._changed({PROBE: settings})
        with held(self.folder):
            require(changed, "concept", study.requires, needs_model=False)
            with self._kept(changed):
                outcome = bring_up_to_date(study, self._run)
                study.copy_into(self._run)
                if draw is not None:
                    draw(self.folder, study.stem)
                return outcome

    def compare(
        self,
        *names: str,
        n_images: int | None = None,
        draw: DrawFigure | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Compare MoESD with other methods on the same prompts, noise, judges and examples.

        Parameters
        ----------
        names : str
            Of `probe.run.compare.methods.all_methods`, beside the base; all if none is named.
        n_images : int, optional
            Pictures of each occupation and method; as many as ``generate`` makes if not given.
        draw : callable, optional
            Draws a figure by its name: `figures.drawing.draw`, which this package does not import.
        tell : callable, optional
            Called with one line when a method is done.

        Raises
        ------
        ValueError
            If there is no such method, or ``n_images`` is below 2.
        StageError
            If the correction has not been trained, or is out of date.
        """
        stage = CompareMethods(names, n_images=n_images, tell=tell)
        with held(self.folder):
            require(self._run, stage.name, stage.requires)
            outcome = bring_up_to_date(stage, self._run)
            if draw is not None:
                draw(self.folder, "methods")
            return outcome

    def inspect(self, prompt: str, *, share: bool = False) -> Inspection:
        """Say what the gate does with a prompt, and why.

        Parameters
        ----------
        prompt : str
        share : bool
            Whether to read the share of women off the denoiser too: the image model is opened and
            asked a few dozen times.

        Raises
        ------
        StageError
            If the correction has not been trained, or is out of date.
        DataError
            If the prompt is empty or no text.
        """
        require(self._run, "inspect", ("train",))
        return inspect_prompt(self._run, prompt, share=share)

    def export(self, path: str | Path, *, format: str | None = None) -> ExportResult:
        """Write the embeddings of all prompts for other programs; see `probe.write_vectors`.

        Raises
        ------
        StageError
            If the prompts have not been embedded.
        DataError
            If the format cannot carry prompts with spaces, as word2vec's cannot.
        """
        require(self._run, "export", ("embed",), needs_model=False)
        return export_embeddings(self._run, Path(path), format=format)

    def publish(self, folder: str | Path, compose: Callable[[Path], str]) -> PublishResult:
        """Write the correction with a model card into a new folder, to give away.

        Parameters
        ----------
        folder : path
            New or empty.
        compose : callable
            Run folder to the text of the card: `figures.cards.correction_card`.

        Raises
        ------
        StageError
            If the run has not been evaluated, or is out of date.
        DataError
            If the folder is not empty.
        """
        require(self._run, "publish", ("evaluate",))
        return publish(self._run, Path(folder), compose)

    def card(self, compose: Callable[[Path], Card]) -> Card:
        """Return what ``compose`` makes of the run folder: `figures.cards.bias_card`.

        Raises
        ------
        StageError
            If the run has not been evaluated, or is out of date.
        """
        require(self._run, "card", ("evaluate",))
        return compose(self.folder)

    def info(self) -> Inventory:
        """List what stands in the folder: made by what, from what, and whether it is up to date."""
        of_run = (*ConceptStudy.kept(self._run), *CompareMethods.kept(self._run))
        return take_inventory(self._run, stages_of(self._run), (*studies(), *of_run))

    def _do(self, stage: Stage, settings: Mapping[str, Any] | None = None) -> Outcome:
        """Bring a stage up to date with other settings, which are kept if it succeeds."""
        changed = self._changed({stage.name: settings}) if settings else self._run
        with held(self.folder, by_all=stage.name == "train"):
            require(changed, stage.name, stage.requires, needs_model=stage.needs_model)
            with self._kept(changed):
                return bring_up_to_date(stage, self._run)

    def _changed(self, tables: Mapping[str, Mapping[str, Any]]) -> Run:
        """Return the run with other settings, which are checked; nothing is written."""
        for table, settings in tables.items():
            if settings and table in STAGES and STAGES[table].needs_model:
                require_model(self._run, table)
        return change_settings(self._run, tables)

    @contextmanager
    def _kept(self, changed: Run) -> Iterator[None]:
        """Keep other settings, in the folder too, unless the block fails."""
        before = self._run
        try:
            with kept_settings(before, changed) as self._run:
                yield
        except Exception:
            self._run = before
            raise


def _choose(run: Run, names: Sequence[str]) -> list[tuple[StudyStage, str | None]]:
    """Return the named studies, or all, each with the reason why the run does not allow it.

    Raises
    ------
    StageError, DataError
        If the run does not allow a study that is named, or does not allow any.
    """
    chosen = [study for study in studies() if not names or study.name in names]
    found = [(study, _why_not(run, study)) for study in chosen]
    if names or all(why_not for _, why_not in found):
        for study, why_not in found:
            require(run, study.name, study.requires)
            if why_not is not None:
                raise DataError(f"the study {study.name} cannot be done on {run.folder}: {why_not}")
    return found


def _why_not(run: Run, study: StudyStage) -> str | None:
    """Say why a run does not allow a study; None if it does."""
    if (stale := first_stale(run, study.requires)) is not None:
        stage, why = stale
        return f"requires {stage}, but {why}; run `moesd-probe {stage} {run.folder}` first"
    return study.unmet(run)


def _by_table(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort settings of studies into their tables; one that all studies share is of ``probe``."""
    tables = {PROBE: ProbeConfig, **{study.name: study.settings for study in studies()}}
    owners = {
        item.name: name
        for name, kind in tables.items()
        if kind is not None
        for item in fields(kind)
    }
    if unknown := [name for name in settings if name not in owners]:
        raise OptionError(f"no study has a setting {unknown[0]!r}; known are {', '.join(owners)}")
    found: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        found.setdefault(owners[name], {})[name] = value
    return found
