"""The command that tells what training a model would cost."""

from __future__ import annotations

from typing import Any

import click

from cli.options import json_option, settings_of
from cli.telling import echo_json, given
from probe.experiment.config import SIDES, TrainConfig


@click.command()
@click.option("--model", required=True, help="tinytown, a folder, or a hub id.")
@click.option("--side", type=click.Choice(SIDES), help="Where experts sit; on both if not given.")
@settings_of(TrainConfig, "width", "unet_width", "n_experts", "placement", "style", "batch_size")
@click.option("--resolution", type=int, help="Pixels of a side; the model's own if not given.")
@json_option
def plan(model: str, as_json: bool, **settings: Any) -> None:
    """Tell what training a model costs: weights, their share, memory, operations.

    Read from its configuration files alone; its weights need not be there. Memory and operations
    are estimates.
    """
    from probe.experiment.planning import plan

    answer = plan(model, **given(settings))
    echo_json(answer.to_json()) if as_json else click.echo(answer.summary())
