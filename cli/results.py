"""The commands that read a run or publish it, and those that need none."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from cli.options import (
    FILE,
    FOLDER,
    OUTPUT,
    Command,
    SettingsCommand,
    device_option,
    json_option,
    run_argument,
    settings_of,
)
from cli.output import echo_answer, echo_json, given, open_run

_PLANNED = ("recipe", "side", "width", "unet_width", "n_experts", "style", "batch_size")


@click.command()
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
    """Write the embeddings of RUN to FILE: .npy, .npz, .safetensors, .parquet or .jsonl."""
    echo_answer(open_run(run, None).export(file), as_json)


@click.command()
@run_argument
@json_option
def info(run: Path, as_json: bool) -> None:
    """List the stages of RUN, up to date or not, and its files with their provenance."""
    echo_answer(open_run(run, None).info(), as_json)


@click.command(cls=Command)
@click.argument("file", type=FILE)
@click.option("--column", help="Column that holds the captions; needed only if several could.")
@click.option(
    "--out",
    type=OUTPUT,
    help="CSV to write: each caption, its category, and the words that decided.",
)
@click.option(
    "--counterfactuals",
    type=OUTPUT,
    help="CSV to write: each caption that says a gender, with the other gender, and with none.",
)
@json_option
def prompts(
    file: Path, column: str | None, out: Path | None, counterfactuals: Path | None, as_json: bool
) -> None:
    """Count who appears in the captions of FILE: male, female, both, people, nobody.

    FILE is txt, csv, tsv, jsonl or parquet, or in the layout of LAION, OpenImages (narratives),
    Flickr or COCO. Only the words are analysed: no run and no model is needed. In written CSV, a
    cell that begins with = + - @ gets an apostrophe before it, so that no spreadsheet runs it as
    a formula.
    """
    from probe.text.captions.classification import audit_captions

    audit = audit_captions(file, column=column, out=out, counterfactuals=counterfactuals)
    if as_json:
        echo_json(audit.to_json())
        return
    click.echo(audit.summary())
    if out is not None:
        click.echo(f"{out}: {len(audit):,} rows")
    if audit.counterfactuals is not None:
        click.echo(
            f"{counterfactuals}: {audit.counterfactuals['n']:,} rows; "
            f"{audit.counterfactuals['n_without_swap']:,} without the other gender, "
            f"{audit.counterfactuals['n_without_neutral']:,} without a neutral form"
        )


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

    config = TrainConfig(**TrainConfig.completed(given(settings)))
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
    """Write the bias section of a model card: what RUN found, for people and for the hub.

    Needs no network.
    """
    from figures.cards import bias_card

    echo_answer(open_run(run, None).card(partial(bias_card, path=out)), as_json)
