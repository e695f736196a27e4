"""The commands of the pipeline: the stages of a run, one by one or all of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.help import ADVANCED, Option
from cli.options import (
    FILE,
    Command,
    SettingsCommand,
    execution_options,
    full_option,
    json_option,
    option_group,
    run_argument,
    run_seed_option,
    settings_of,
    start_options,
)
from cli.output import (
    ProgressBar,
    echo,
    echo_answer,
    echo_evaluation,
    echo_json,
    echo_outcome,
    given,
    open_run,
    take_executor,
)
from probe.errors import OptionError
from probe.io.distributed import is_first, own_device

if TYPE_CHECKING:
    from probe.run.experiment import Experiment

_TRAINING = ("attributes", "keep", "recipe", "objective", "n_examples")
"""Settings of the training that `run` has, too."""
_STAGES = "Training and images"
_OWN = "Prompts and vectors of your own"


@click.command(cls=Command)
@run_argument
@start_options
@option_group(
    _OWN,
    prompts={
        "type": FILE,
        "help": "Prompts (txt, csv, tsv, json, jsonl, parquet), copied into RUN; `fit` places them "
        "on the axis.",
    },
)
@click.option(
    "--import",
    "vectors",
    cls=Option,
    group=_OWN,
    type=FILE,
    help="Vectors made elsewhere (npy, npz, safetensors, parquet, jsonl, word2vec, GloVe) in "
    "place of a model, copied into RUN; look at them with `concept`.",
)
@option_group(
    _OWN,
    names={
        "type": FILE,
        "help": "Names of the rows of --import, one a line or a column, if it does not hold them.",
    },
    column={"help": "Column of --prompts or of --names; needed only if several could be meant."},
)
@run_seed_option
@execution_options
@json_option
def embed(
    run: Path,
    seed: int | None,
    prompts: Path | None,
    column: str | None,
    vectors: Path | None,
    names: Path | None,
    device: str,
    as_json: bool,
    **start: Any,
) -> None:
    """Embed every prompt of RUN, starting RUN if it is new."""
    from probe.run.experiment import Experiment
    from probe.run.registry import Answer
    from probe.text.prompt_files import read_prompts
    from probe.text.vector_files import read_vectors

    if column is not None and vectors is None and prompts is None:
        raise click.UsageError("--column names a column of a file, and none is given")
    if names is not None and vectors is None:
        raise click.UsageError("--names names the rows of --import, which is not given")
    if vectors is not None:
        if prompts or given(start):
            raise click.UsageError("--import takes no model, lexicon or prompts")
        read = read_vectors(vectors, names=names, column=column)
        made = Experiment.from_vectors(run, read, seed=seed).embed()
        text = "\n".join([made.result.summary(), *read.notes])
        echo_answer(Answer(text, {**made.to_json(), "notes": list(read.notes)}), as_json)
        return
    own = None if prompts is None else read_prompts(prompts, column=column)
    with ProgressBar() as bar:
        outcome = _start(run, bar, device, seed=seed, prompts=own, **given(start)).embed()
    if own is not None and not as_json:
        echo(own.summary)
    echo_outcome(outcome, as_json)


@click.command(cls=SettingsCommand)
@run_argument
@settings_of("fit", groups={ADVANCED: ("strength", "n_bootstrap", "seed")})
@json_option
def fit(run: Path, as_json: bool, **settings: Any) -> None:
    """Fit the bias direction of RUN and place its prompts on it."""
    _do_stage("fit", run, "cpu", as_json, settings)


@click.command(cls=SettingsCommand)
@run_argument
@settings_of(
    "train",
    groups={
        "What is learnt": (
            *(
                "attributes",
                "keep",
                "cells",
                "recipe",
                "objective",
                "emphasis",
                "side",
                "width",
                "gate_kind",
            ),
        ),
        "Training images": ("examples", "n_examples", "classifier", "shown_images"),
        "Memory and time": ("batch_size", "accumulate", "checkpointing", "precision"),
        ADVANCED: ("latent_steps", "diffusion_steps", "learning_rate", "seed"),
    },
    in_file=(
        *("unet_width", "n_experts", "style", "token_place", "n_occupations", "guidance_scale"),
        *("neutral_band", "gate_reads", "gate_list", "false_alarm", "reads_validation"),
    ),
)
@execution_options
@json_option
def train(run: Path, device: str, as_json: bool, **settings: Any) -> None:
    """Train gate, token and experts that correct RUN's model.

    Several processes share the batches of a step: torchrun --nproc-per-node 2 $(which moesd-probe)
    train RUN --accumulate 2, or, where all nodes have RUN at one path, train RUN --accumulate 2
    --executor ray --workers 2.
    """
    _do_stage("train", run, own_device(device), as_json, settings)


@click.command(cls=SettingsCommand)
@run_argument
@settings_of(
    "generate",
    groups={
        "Images": ("n_images", "guidance_scale", "n_steps"),
        "Correction": ("routing", "base_images", "strength", "target"),
        ADVANCED: ("batch_size", "dtype", "offload", "compile", "seed"),
    },
    in_file=("guidance_slope", "guidance_intercept", "min_explained"),
)
@execution_options
@json_option
def generate(run: Path, device: str, as_json: bool, **settings: Any) -> None:
    """Make images with both models, from equal noise."""
    _do_stage("generate", run, device, as_json, settings)


@click.command(cls=SettingsCommand)
@run_argument
@settings_of(
    "evaluate",
    groups={
        "Who looks at the images": ("classifier", "clip", "features", "faces", "calibration"),
        "What is measured": ("attribute", "female", "male"),
        ADVANCED: ("face_margin", "n_bootstrap", "seed"),
    },
    in_file=("clip_margin", "recognition_margin"),
)
@execution_options
@full_option
@json_option
def evaluate(run: Path, device: str, full: bool, as_json: bool, **settings: Any) -> None:
    """Measure fairness, quality and side effects, with intervals.

    `check` tests the figures against bounds. `audit` measures images, labels or counts without a
    run.
    """
    with ProgressBar() as bar:
        experiment = open_run(run, bar, device, settings)
        faces = {"faces": experiment.config.evaluate.faces, **given(settings)}["faces"]
        if settings["face_margin"] is not None and not faces:
            raise OptionError("--face-margin is for faces: add --faces")
        outcome = experiment.evaluate(**given(settings))
    if as_json:
        echo_json(outcome.to_json())
        return
    echo(f"{outcome.line()}\n")
    echo_evaluation(run, outcome.result.to_json(), is_full=full)
    if not full:
        echo("Details: --full.")


@click.command(cls=Command)
@run_argument
@click.option(
    "--figure", help="Only this figure, by the name of its files; all that RUN allows if not given."
)
@click.option(
    "--format",
    "formats",
    default="",
    callback=lambda _context, _option, text: [each.strip() for each in text.split(",") if each],
    help="pdf, png or svg, or several with commas between.  [default: all]",
)
@click.option(
    "--style",
    type=click.Choice(("paper", "talk")),
    help="Style: paper, or talk with heavier lines and type without serifs.  [default: paper]",
)
@json_option
def visualize(
    run: Path, figure: str | None, formats: list[str], style: str | None, as_json: bool
) -> None:
    """Draw the figures of RUN, as PDF and PNG with their data as CSV.

    With an option, only what is asked for is drawn; figures for a talk go into figures/talk.
    """
    from figures.drawing import FORMATS, draw

    with ProgressBar() as bar:
        experiment = open_run(run, bar)
        if figure is None and not formats and style is None:
            echo_outcome(experiment.visualize(draw), as_json)
            return
        options: dict[str, Any] = {"style": style or "paper", "progress": partial(bar, "figures")}
        answer = experiment.draw(partial(draw, name=figure, formats=formats or FORMATS, **options))
    echo_answer(answer, as_json)


@click.command(cls=Command)
@run_argument
@json_option
def report(run: Path, as_json: bool) -> None:
    """Write everything about RUN on one page, RUN/report.html."""
    from figures.report import render_report

    with ProgressBar() as bar:
        outcome = open_run(run, bar).report(render_report)
    echo_outcome(outcome, as_json)


@click.command("run", cls=SettingsCommand)
@run_argument
@start_options
@settings_of("train", only=_TRAINING, groups={_STAGES: _TRAINING})
@settings_of("generate", only=["n_images"], groups={_STAGES: ["n_images"]})
@run_seed_option
@execution_options
@full_option
@json_option
def run_all(run: Path, device: str, full: bool, as_json: bool, **options: Any) -> None:
    """Run every stage that is not up to date, and say why it is not."""
    from figures.drawing import draw
    from figures.report import render_report

    training = given({name: options.pop(name) for name in _TRAINING})
    images = given({"n_images": options.pop("n_images")})
    with ProgressBar() as bar:
        experiment = _start(run, bar, device, **options)
        outcomes = experiment.run(
            draw,
            render_report,
            on_outcome=None if as_json else lambda of: bar.echo(of.line()),
            settings={"train": training, "generate": images},
        )
    if as_json:
        echo_json({outcome.stage: outcome.to_json() for outcome in outcomes})
        return
    results = {outcome.stage: outcome.result for outcome in outcomes}
    echo()
    echo_evaluation(run, results["evaluate"].to_json(), is_full=full)
    echo(f"{'' if full else 'Details: --full. '}Report: {results['report'].summary()}")


def _do_stage(name: str, run: Path, device: str, as_json: bool, settings: dict[str, Any]) -> None:
    with ProgressBar() as bar:
        outcome = getattr(open_run(run, bar, device, settings), name)(**given(settings))
    if is_first():
        echo_outcome(outcome, as_json)


def _start(run: Path, bar: ProgressBar, device: str, **options: Any) -> Experiment:
    from probe.run.experiment import Experiment

    options["executor"] = take_executor(options, device)
    if (model := options.pop("model", None)) is None:
        model = open_run(run, bar, device).config.model
    return Experiment.create(run, model=model, device=device, progress=bar, **options)
