"""A run folder as an object: its stages, its studies, and what is read out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.io.distributed import check_batches, own_device
from probe.io.progress import NamedProgress
from probe.run import pipeline
from probe.run.compare.stage import CompareMethods
from probe.run.concept.study import ConceptStudy
from probe.run.config import Config
from probe.run.export import export_embeddings, publish_correction
from probe.run.folder import Run, check_run, locked
from probe.run.inspect_prompt import inspect_prompt
from probe.run.pipeline import Inventory, Outcome, bring_up_to_date, require, require_model
from probe.run.registry import STAGES, STUDY, Answer, Result, Stage, studies
from probe.run.settings import change_settings, kept_settings, start, start_imported
from probe.run.stages.report import Render
from probe.run.stages.visualize import Draw, DrawNamed, drawn
from probe.text.prompt_files import PromptFile
from probe.text.vectors import NamedVectors

if TYPE_CHECKING:
    from probe.io.executors import Executor
    from probe.run.sequential_audit import StoppedAudit


class Experiment:
    """A run folder; an ``executor`` of `probe.io.executors` works in place of this process.

    Every stage reads its inputs from the folder and writes its outputs there. A file carries the
    hash of what it was made from: a stage whose outputs carry the hash of today's settings and
    inputs is skipped. A stage may be interrupted at any moment: files are whole or absent, and the
    same call resumes. `create`, `from_vectors` and `open` make the object.

    Methods raise `StageError` if a stage that they require is not up to date, or the run lacks a
    model, and another `ProbeError` for what cannot be used. Settings that a method changes are
    checked before any work, and written to ``config.toml`` only if it succeeds.
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
        instruction: str | None = None,
        prompts: PromptFile | None = None,
        split: int | None = None,
        language: str | None = None,
        form: str | None = None,
        device: str = "cpu",
        progress: NamedProgress | None = None,
        executor: Executor | None = None,
    ) -> Experiment:
        """Start a run, or resume one of the same model; what is given is copied into the folder.

        Parameters
        ----------
        model : str
            ``"tinytown"``, a folder or a hub id.
        seed : int, optional
            Seed of every stage; 0 in a new run if not given.
        lexicon : Path, optional
            Words and templates; those of the package if not given.
        encoder : str, optional
            Text encoder of the pipeline, e.g. ``"text_encoder_2"``; if not given, its first one, or
            what `choose_encoder` finds.
        instruction : str, optional
            Text that a decoder-only text encoder alone reads before every prompt.
        prompts : PromptFile, optional
            The user's, as read by `probe.text.prompt_files.read_prompts`.
        split : int, optional
            Random split of the occupations, see `Lexicon.random_split`.
        language, form : str, optional
            Language of the prompts and form of the neutral ones, see `EmbedConfig`.
        """
        words: dict[str, Any] = {"lexicon": lexicon, "prompts": prompts, "split": split}
        words |= {"language": language, "form": form}
        words |= {"encoder": encoder, "instruction": instruction}
        start(Path(folder), model=model, seed=seed, **words)
        return cls.open(folder, device=device, progress=progress, executor=executor)

    @classmethod
    def from_vectors(
        cls,
        folder: str | Path,
        vectors: NamedVectors,
        *,
        seed: int | None = None,
        progress: NamedProgress | None = None,
    ) -> Experiment:
        """Start a run of imported vectors, as `probe.read_vectors` reads them; it has no model."""
        start_imported(Path(folder), vectors, seed=seed)
        return cls.open(folder, progress=progress)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        device: str = "cpu",
        progress: NamedProgress | None = None,
        executor: Executor | None = None,
    ) -> Experiment:
        """Open a run that has been started."""
        config = Config.read(Path(folder))
        run = Run(Path(folder), config, device, progress, executor=executor)
        check_run(run)
        return cls(run)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._run.folder

    @property
    def config(self) -> Config:
        """Every setting."""
        return self._run.config

    def set(self, table: str, **settings: Any) -> Experiment:
        """Change settings of a table of ``config.toml``; returns the experiment itself."""
        changed = change_settings(self._run, {table: settings})
        if changed is not self._run:
            with locked(self.folder, is_shared=table == "train"), self._kept(changed):
                pass
        return self

    def choose_encoder(self) -> list[Outcome]:
        """Choose the text encoder of a new run that names none of several, as `run` does first.

        It takes images of the base model; see `probe.run.encoder_choice`.
        """
        with locked(self.folder):
            return self._chosen_encoder(self._run)[1]

    def embed(self) -> Outcome:
        """Embed every prompt; in a run of imported vectors, count them."""
        return self._do(STAGES["embed"])

    def fit(self, **settings: Any) -> Outcome:
        """Fit the bias direction and place the prompts on it; settings of `FitConfig`."""
        return self._do(STAGES["fit"], settings)

    def train(self, **settings: Any) -> Outcome:
        """Train the correction; settings of `TrainConfig`. ``examples`` are copied into the run.

        With an executor, each worker computes batches of a step, and has the folder at its path.
        """
        stage, executor = STAGES["train"], self._run.executor
        if executor is None:
            return self._do(stage, settings)
        changed = self._changed(stage, settings)
        if (why := stage.stale(changed)) is None:
            return self._do(stage, settings)
        require(changed, stage.name, stage.requires)
        check_batches(changed.config.train.accumulate, executor.n_workers)
        work = partial(_train, self.folder.absolute(), self._run.device, settings)
        executor.launch(work, self.folder.absolute() / ".ray")
        self._run = replace(self._run, config=Config.read(self.folder))
        return replace(self._do(stage), was_made=True, why=why)

    def generate(self, **settings: Any) -> Outcome:
        """Make images with both models; settings of `GenerateConfig`."""
        return self._do(STAGES["generate"], settings)

    def evaluate(self, **settings: Any) -> Outcome:
        """Measure the images; settings of `EvaluateConfig`."""
        return self._do(STAGES["evaluate"], settings)

    def audit_until_settled(
        self, low: float, high: float, *, n_max: int = 200, side: str = "corrected"
    ) -> StoppedAudit:
        """Make images until each share is settled; see `probe.run.sequential_audit`."""
        from probe.run.sequential_audit import audit_until_settled
        from probe.stats.sequential import Band

        band = Band(low, high)
        with locked(self.folder):
            require(self._run, "evaluate", () if side == "base" else ("train",))
            return audit_until_settled(self._run, band=band, side=side, n_max=n_max)

    def visualize(self, draw: Draw) -> Outcome:
        """Draw the figures with ``draw``: `figures.drawing.draw`."""
        return self._show("visualize", draw=draw)

    def draw(self, draw: Callable[[Path], list[Path]]) -> Answer:
        """Draw some figures, or in another style; no stage is marked as done."""
        require_model(self._run, "visualize")
        with locked(self.folder):
            files = draw(self.folder)
        return drawn(self.folder, files)

    def report(self, render: Render) -> Outcome:
        """Write the page with ``render``: `figures.report.render_report`."""
        return self._show("report", render=render)

    def run(
        self,
        draw: Draw,
        render: Render,
        *,
        on_outcome: pipeline.OnOutcome | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[Outcome]:
        """Do every stage that is not up to date, in order, with other settings by table."""
        require_model(self._run, "run")
        self._run = replace(self._run, functions={"draw": draw, "render": render})
        changed = change_settings(self._run, settings or {})
        with locked(self.folder):
            pipeline.check_stale(changed)
            changed, outcomes = self._chosen_encoder(changed)
            for outcome in outcomes:
                if on_outcome is not None:
                    on_outcome(outcome)
            with self._kept(changed):
                stages = pipeline.stages_of(self._run, with_figures=True)
                chosen = [(stage, None) for stage in stages]
                return outcomes + pipeline.bring_all(chosen, self._run, on_outcome)

    def study(
        self, *names: str, on_outcome: pipeline.OnOutcome | None = None, **settings: Any
    ) -> list[Outcome]:
        """Do the named studies of `probe.run.registry.STUDIES`, or all that the run allows.

        Without names, the outcome of a study that the run does not allow gives the reason.
        """
        require_model(self._run, STUDY)
        changed = change_settings(self._run, pipeline.by_table(settings))
        with locked(self.folder):
            chosen = pipeline.choose_studies(changed, names)
            with self._kept(changed):
                return pipeline.bring_all(chosen, self._run, on_outcome)

    def list_studies(self) -> Answer:
        """List every study: what it finds, what it requires, how long it takes, and its state."""
        return pipeline.list_studies(self._run)

    def concept(
        self, name_or_path: str | Path, draw: DrawNamed | None = None, **settings: Any
    ) -> Outcome:
        """Study a concept of the package (``"gender"``, ``"age"``, ...), or of a TOML file."""
        study = ConceptStudy(name_or_path)
        changed = change_settings(self._run, {STUDY: settings})
        with locked(self.folder):
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
        draw: DrawNamed | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Compare MoESD with other methods on the same prompts, noise, evaluators and examples.

        All methods if none is named. They make ``n_images`` of each occupation, or as many as
        ``generate``. ``on_line`` is called with one line when a method is done.
        """
        stage = CompareMethods(names, n_images=n_images, on_line=on_line)
        with locked(self.folder):
            require(self._run, stage.name, stage.requires)
            outcome = bring_up_to_date(stage, self._run)
            if draw is not None:
                draw(self.folder, "methods")
            return outcome

    def inspect(self, prompt: str, *, share: bool = False) -> Answer:
        """Show what the gate does with a prompt; ``share`` loads the image model too."""
        require(self._run, "inspect", ("train",))
        return inspect_prompt(self._run, prompt, share=share)

    def export(self, path: str | Path) -> Answer:
        """Write the embeddings of all prompts; see `probe.text.vector_files.write_vectors`."""
        require(self._run, "export", ("embed",), needs_model=False)
        return export_embeddings(self._run, Path(path))

    def publish(self, folder: str | Path, compose: Callable[[Path], str]) -> Answer:
        """Write the correction with the card of `figures.cards.correction_card` to a new folder."""
        require(self._run, "publish", ("evaluate",))
        return publish_correction(self._run, Path(folder), compose)

    def card(self, compose: Callable[[Path], Result]) -> Result:
        """Return what ``compose`` makes of the run folder: `figures.cards.bias_card`."""
        require(self._run, "card", ("evaluate",))
        return compose(self.folder)

    def figures(self) -> dict[str, Any]:
        """Return what the evaluation found, as ``evaluate --json`` prints it."""
        require(self._run, "check", ("evaluate",))
        return STAGES["evaluate"].result(self._run).to_json()

    def info(self, render: Render | None = None) -> Inventory:
        """List stages and studies, up to date or not, and files; with ``render`` the page too."""
        run = self._run if render is None else replace(self._run, functions={"render": render})
        of_run = (*ConceptStudy.kept(run), *CompareMethods.kept(run))
        return pipeline.take_inventory(run, (*studies(), *of_run))

    def _chosen_encoder(self, changed: Run) -> tuple[Run, list[Outcome]]:
        """Write the encoder of a new run into its settings, and into those that are to be kept."""
        from probe.run.encoder_choice import choose_encoder, has_choice

        if not has_choice(changed):
            return changed, []
        found = choose_encoder(changed)
        chosen = {"encoder": found.data["encoder"]}
        before, self._run = self._run, _with_settings(self._run, "embed", chosen)
        self._run.config.write(self.folder)
        changed = self._run if changed is before else _with_settings(changed, "embed", chosen)
        return changed, [Outcome("encoder", True, found.text, found)]

    def _show(self, name: str, **functions: Callable[..., Any]) -> Outcome:
        """Bring a stage up to date that shows results by a function of `figures`."""
        return Experiment(replace(self._run, functions=functions))._do(STAGES[name])

    def _do(self, stage: Stage, settings: Mapping[str, Any] | None = None) -> Outcome:
        """Bring a stage up to date with other settings, which are kept if it succeeds."""
        changed = self._changed(stage, settings)
        with locked(self.folder, is_shared=stage.name == "train"):
            require(changed, stage.name, stage.requires, needs_model=stage.needs_model)
            with self._kept(changed):
                return bring_up_to_date(stage, self._run)

    def _changed(self, stage: Stage, settings: Mapping[str, Any] | None) -> Run:
        """Return the run with other settings of a stage, whose files are copied into the folder."""
        given = {stage.name: stage.imported(self._run, settings)} if settings else {}
        return change_settings(self._run, given)

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


def _with_settings(run: Run, table: str, settings: Mapping[str, Any]) -> Run:
    return replace(run, config=run.config.with_settings(table, settings))


def _train(folder: Path, device: str, settings: Mapping[str, Any]) -> None:
    """Train in one of several processes."""
    Experiment.open(folder, device=own_device(device)).train(**settings)
