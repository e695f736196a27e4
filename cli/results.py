"""The commands that read a run or publish it."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from cli.options import (
    FOLDER,
    OUTPUT,
    Command,
    SettingsCommand,
    device_option,
    full_option,
    json_option,
    run_argument,
    settings_of,
)
from cli.output import echo, echo_answer, echo_evaluation, echo_json, given, open_run
from probe.io.settings import DTYPES

_PLANNED = (
    *("attributes", "keep", "cells", "recipe", "side", "objective", "width", "unet_width"),
    *("n_experts", "style", "shown_images", "batch_size"),
)


@click.command(cls=Command)
@run_argument
@click.argument("prompt")
@click.option(
    "--share",
    is_flag=True,
    help="Also estimate the share of women from the denoiser; loads the image model.",
)
@device_option
@json_option
def inspect(run: Path, prompt: str, share: bool, device: str, as_json: bool) -> None:
    """Show what the gate of RUN does with a prompt, and why."""
    echo_answer(open_run(run, None, device).inspect(prompt, share=share), as_json)


@click.command(cls=Command)
@run_argument
@click.argument("file", type=OUTPUT)
@json_option
def export(run: Path, file: Path, as_json: bool) -> None:
    """Write the embeddings of RUN to FILE.

    Its format is that of its name: .npy, .npz, .safetensors, .parquet or .jsonl.
    """
    echo_answer(open_run(run, None).export(file), as_json)


@click.command(cls=Command)
@run_argument
@full_option
@json_option
def info(run: Path, full: bool, as_json: bool) -> None:
    """Show the result of RUN, what is out of date, and its files."""
    from figures.report import render_report

    experiment = open_run(run, None)
    inventory = experiment.info(render_report)
    if as_json:
        echo_json(inventory.to_json())
        return
    if inventory.stages.get("evaluate", "") is None:
        echo_evaluation(run, experiment.figures())
        echo()
    echo(inventory.summary(is_full=full))


@click.command(cls=SettingsCommand)
@click.option("--model", required=True, help="tinytown, a folder, or a hub id.")
@settings_of("train", only=_PLANNED)
@click.option(
    "--resolution",
    type=click.IntRange(8, 16_384),
    help="Pixels of a side; the model's own if not given.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES[1:]),
    default="float32",
    show_default=True,
    help="Precision of the image model.",
)
@click.option(
    "--device", help="Device whose speed is measured, for the seconds of an image: cpu, cuda."
)
@json_option
def plan(
    model: str,
    resolution: int | None,
    dtype: str,
    device: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Estimate the cost of training and of an image.

    Read from its configuration files alone; its weights need not be there. Memory and operations
    are estimates.
    """
    from probe.moesd.config import TrainConfig
    from probe.moesd.plan import plan_training
    from probe.text.loading import find_device

    config = TrainConfig(**TrainConfig.completed(given(settings)))
    measured = None if device is None else find_device(device)
    found = plan_training(model, config, resolution=resolution, dtype=dtype, device=measured)
    echo_answer(found, as_json)


@click.command(cls=Command)
@run_argument
@click.argument("folder", type=FOLDER)
@json_option
def publish(run: Path, folder: Path, as_json: bool) -> None:
    """Write the correction of RUN into FOLDER, with its card.

    FOLDER must be new or empty; it can be uploaded to a hub as it is.
    """
    from figures.cards import correction_card

    echo_answer(open_run(run, None).publish(folder, correction_card), as_json)


@click.command(cls=Command)
@run_argument
@click.option(
    "--out",
    type=OUTPUT,
    help="Write the card here. In a file that exists, the text between the lines "
    "<!-- moesd-probe:begin --> and <!-- moesd-probe:end --> is replaced, and our results in its "
    "model-index; comments in its front matter are lost.",
)
@json_option
def card(run: Path, out: Path | None, as_json: bool) -> None:
    """Write the bias section of a model card.

    It says what RUN found, for people and for the hub. Needs no network.
    """
    from figures.cards import bias_card

    echo_answer(open_run(run, None).card(partial(bias_card, path=out)), as_json)
