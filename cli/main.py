"""The command `moesd-probe`: every command is the library read aloud."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.captions import prompts
from cli.compare import compare
from cli.errors import OneLineErrors
from cli.evaluate import evaluate
from cli.options import (
    SettingsCommand,
    device_option,
    drawing_options,
    encoder_option,
    import_options,
    json_option,
    lexicon_option,
    model_option,
    prompts_options,
    run_argument,
    seed_option,
    settings_of,
)
from cli.output import echo_json, given, open_run, tell_outcome
from cli.progress import ProgressBar
from cli.publish import card, plan, publish
from cli.studies import concept, export, info, inspect, probe, sweep
from probe import __version__
from probe.io.distributed import is_first, own_device

if TYPE_CHECKING:
    from probe.run.experiment import Experiment
    from probe.run.pipeline import Outcome
    from probe.text.prompt_files import PromptFile

# Bars and chatter of the libraries; read when they are first imported.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="moesd-probe")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Find, correct and prove gender bias in text-to-image models.

    RUN is a folder that holds everything about one model: settings, embeddings, the correction,
    pictures, figures and the report. Start one with `moesd-probe run RUN --model tinytown`.

    \b
    Exit codes:
      0    done
      1    an error in data, files or models
      2    wrong usage: unknown command, option or value
      3    `evaluate` found that a bound is not kept
      130  interrupted by Ctrl-C; run the same command again to resume
    """


@main.command()
@run_argument
@model_option
@encoder_option
@lexicon_option
@prompts_options
@import_options
@seed_option("Seed of the whole run, kept in its settings.")
@device_option
@json_option
def embed(
    run: Path,
    model: str | None,
    encoder: str | None,
    lexicon: Path | None,
    prompts: Path | None,
    column: str | None,
    vectors: Path | None,
    names: Path | None,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Embed every prompt of RUN, starting RUN if it is new."""
    if column is not None and prompts is None and names is None and vectors is None:
        raise click.UsageError("--column names a column of a file, and none is given")
    if names is not None and vectors is None:
        raise click.UsageError("--names names the rows of --import, which is not given")
    if vectors is not None:
        of_a_model = {"model": model, "encoder": encoder, "lexicon": lexicon, "prompts": prompts}
        if others := given(of_a_model):
            raise click.UsageError(f"--import takes no --{next(iter(others))}: there is no model")
        _import_vectors(run, vectors, names, column, seed, as_json)
        return
    own = _read_prompts(prompts, column)
    with ProgressBar() as bar:
        experiment = _start(run, model, encoder, lexicon, seed, device, bar, own)
        outcome = experiment.embed()
    if own is not None and not as_json:
        click.echo(own.summary())
    tell_outcome(outcome, as_json)


@main.command(cls=SettingsCommand)
@run_argument
@settings_of("fit")
@seed_option("Seed of the resamples and of the map.")
@json_option
def fit(run: Path, as_json: bool, **settings: Any) -> None:
    """Fit the bias direction of RUN and place its prompts on it."""
    with ProgressBar() as bar:
        outcome = open_run(run, bar).fit(**given(settings))
    tell_outcome(outcome, as_json)


@main.command(cls=SettingsCommand)
@run_argument
@settings_of("train")
@seed_option("Seed of the training.")
@device_option
@json_option
def train(run: Path, device: str, as_json: bool, **settings: Any) -> None:
    """Train the gate, the token and the experts that correct RUN's model.

    Several processes share the batches of a step: torchrun --nproc-per-node 2 $(which moesd-probe)
    train RUN --accumulate 2.
    """
    with ProgressBar() as bar:
        outcome = open_run(run, bar, own_device(device)).train(**given(settings))
    if is_first():
        tell_outcome(outcome, as_json)


@main.command(cls=SettingsCommand)
@run_argument
@settings_of("generate")
@seed_option("Seed of the noise that pictures start from.")
@device_option
@json_option
def generate(run: Path, device: str, as_json: bool, **settings: Any) -> None:
    """Make pictures with the base and the corrected model, from equal noise."""
    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).generate(**given(settings))
    tell_outcome(outcome, as_json)


main.add_command(evaluate)


@main.command()
@run_argument
@drawing_options
@json_option
def visualize(
    run: Path, figure: str | None, formats: tuple[str, ...], style: str | None, as_json: bool
) -> None:
    """Draw the figures of RUN, as PDF and PNG with their data as CSV.

    With an option, only what is asked for is drawn; figures for a talk go into figures/talk.
    """
    from figures.drawing import FORMATS, draw

    with ProgressBar() as bar:
        experiment = open_run(run, bar)
        if figure is None and not formats and style is None:
            tell_outcome(experiment.visualize(draw), as_json)
            return

        def chosen(folder: Path) -> list[Path]:
            return draw(folder, figure, formats or FORMATS, style=style or "paper", progress=told)

        told = partial(bar, "figures")
        result = experiment.draw(chosen)
    echo_json(result.to_json()) if as_json else click.echo(result.summary())


@main.command()
@run_argument
@json_option
def report(run: Path, as_json: bool) -> None:
    """Gather everything about RUN on one page, RUN/report.html."""
    from figures.report import render_report

    with ProgressBar() as bar:
        outcome = open_run(run, bar).report(render_report)
    tell_outcome(outcome, as_json)


@main.command("run", cls=SettingsCommand)
@run_argument
@model_option
@encoder_option
@lexicon_option
@settings_of("train", only=["objective", "n_examples"])
@settings_of("generate", only=["n_images"])
@seed_option("Seed of the whole run, kept in its settings.")
@device_option
@json_option
def run_all(
    run: Path,
    model: str | None,
    encoder: str | None,
    lexicon: Path | None,
    seed: int | None,
    device: str,
    as_json: bool,
    n_images: int | None,
    **training: Any,
) -> None:
    """Do every stage that is not up to date, and say why for each."""
    from figures.drawing import draw
    from figures.report import render_report
    from figures.text.summaries import summary_of

    with ProgressBar() as bar:

        def tell(outcome: Outcome) -> None:
            bar.clear()
            if not as_json:
                click.echo(outcome.line())

        experiment = _start(run, model, encoder, lexicon, seed, device, bar)
        settings = {"train": given(training), "generate": given({"n_images": n_images})}
        outcomes = experiment.run(draw, render_report, tell=tell, settings=settings)
    if as_json:
        echo_json({outcome.stage: outcome.to_json() for outcome in outcomes})
        return
    summaries = {outcome.stage: summary_of(outcome.stage, outcome.result) for outcome in outcomes}
    click.echo(f"\n{summaries['evaluate']}\n\n{summaries['report']}")


for command in (
    probe,
    concept,
    sweep,
    compare,
    inspect,
    export,
    info,
    prompts,
    plan,
    publish,
    card,
):
    main.add_command(command)


def _read_prompts(path: Path | None, column: str | None) -> PromptFile | None:
    from probe.text.prompt_files import read_prompts

    return None if path is None else read_prompts(path, column=column)


def _import_vectors(
    run: Path,
    path: Path,
    names: Path | None,
    column: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    from probe.run.experiment import Experiment
    from probe.text.vector_files import read_vectors

    vectors = read_vectors(path, names=names, column=column)
    outcome = Experiment.from_vectors(run, vectors, seed=seed).embed()
    if as_json:
        echo_json({**outcome.to_json(), "notes": list(vectors.notes)})
    else:
        click.echo("\n".join([outcome.result.summary(), *vectors.notes]))


def _start(
    run: Path,
    model: str | None,
    encoder: str | None,
    lexicon: Path | None,
    seed: int | None,
    device: str,
    bar: ProgressBar | None,
    prompts: PromptFile | None = None,
) -> Experiment:
    from probe.run.experiment import Experiment

    if model is None:
        experiment = Experiment.open(run, device=device, progress=bar)
        model = experiment.config.model
    return Experiment.create(
        run,
        model=model,
        seed=seed,
        lexicon=lexicon,
        encoder=encoder,
        prompts=prompts,
        device=device,
        progress=bar,
    )
