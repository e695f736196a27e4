"""The commands before and after a run: the cost of training, and publishing its result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from cli.options import FOLDER, SettingsCommand, json_option, run_argument, settings_of
from cli.output import echo_answer, given, open_run

_PLANNED = ("side", "width", "unet_width", "n_experts", "style", "batch_size")


@click.command(cls=SettingsCommand)
@click.option("--model", required=True, help="tinytown, a folder, or a hub id.")
@settings_of("train", only=_PLANNED)
@click.option("--resolution", type=int, help="Pixels of a side; the model's own if not given.")
@json_option
def plan(model: str, resolution: int | None, as_json: bool, **settings: Any) -> None:
    """Estimate what training a model costs: weights, their share, memory, operations.

    Read from its configuration files alone; its weights need not be there. Memory and operations
    are estimates.
    """
    from probe.moesd.config import TrainConfig
    from probe.moesd.plan import plan_training

    config = TrainConfig(**given(settings))
    echo_answer(plan_training(model, config, resolution=resolution), as_json)


@click.command()
@run_argument
@click.argument("folder", type=FOLDER)
@json_option
def publish(run: Path, folder: Path, as_json: bool) -> None:
    """Write the correction of RUN into FOLDER, with a model card of its figures.

    FOLDER must be new or empty; it can be uploaded to a hub as it is.
    """
    from figures.cards import correction_card

    echo_answer(open_run(run, None).publish(folder, correction_card), as_json)


@click.command()
@run_argument
@click.option(
    "--out",
    type=FOLDER,
    help="Write the card here. In a file that exists, the text between the lines "
    "<!-- moesd-probe:begin --> and <!-- moesd-probe:end --> is replaced, and our results in its "
    "model-index; comments in its front matter are lost.",
)
@json_option
def card(run: Path, out: Path | None, as_json: bool) -> None:
    """Write the bias section of a model card: what RUN found, for people and for the hub.

    Needs no network.
    """
    from figures.cards import bias_card

    echo_answer(open_run(run, None).card(partial(bias_card, path=out)), as_json)
