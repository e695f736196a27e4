"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def run_argument(command: Command) -> Command:
    """The folder of a run."""
    return click.argument("run", type=click.Path(path_type=Path))(command)


def json_option(command: Command) -> Command:
    """JSON instead of text."""
    about = "Print JSON on standard output, and nothing else there."
    return click.option("--json", "as_json", is_flag=True, help=about)(command)


def device_option(command: Command) -> Command:
    """Where the weights live."""
    about = "Where the weights live: cpu, cuda, cuda:1, mps."
    return click.option("--device", default="cpu", show_default=True, help=about)(command)


def seed_option(about: str) -> Callable[[Command], Command]:
    """A seed that is kept in the run's settings."""
    kind = click.IntRange(0, 2**32 - 1)
    return click.option("--seed", type=kind, help=about)


def model_option(command: Command) -> Command:
    """The model of a new run."""
    about = "tinytown, a folder, or a hub id. Needed for a new run only."
    return click.option("--model", help=about)(command)


def lexicon_option(command: Command) -> Command:
    """A lexicon that is copied into the run."""
    about = "Lexicon of words and templates (TOML), copied into RUN; the shipped one if not given."
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option("--lexicon", type=kind, help=about)(command)


def encoder_option(command: Command) -> Command:
    """The text encoder of a pipeline that has several."""
    about = "Text encoder of a pipeline that has several; its first one if not given."
    return click.option("--encoder", help=about)(command)


def prompts_options(command: Command) -> Command:
    """Prompts that are copied into the run, and the column that holds them."""
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    about = "Column of --prompts or of --names; needed only if several could be meant."
    command = click.option("--column", help=about)(command)
    about = (
        "Prompts of your own (txt, csv, tsv, jsonl, parquet), copied into RUN; `fit` places them "
        "on the axis."
    )
    return click.option("--prompts", type=kind, help=about)(command)


def import_options(command: Command) -> Command:
    """Vectors that were made elsewhere, and their names."""
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    about = "Names of the rows of --import, one a line or a column, if it does not hold them."
    command = click.option("--names", type=kind, help=about)(command)
    about = (
        "Vectors made elsewhere (npy, npz, safetensors, parquet, jsonl, word2vec, GloVe) in place "
        "of a model, copied into RUN; look at them with `concept`."
    )
    return click.option("--import", "vectors", type=kind, help=about)(command)


def format_option(command: Command) -> Command:
    """The format of a file that is written."""
    about = (
        "npy, npz, safetensors, parquet or jsonl (word2vec's and GloVe's cannot hold prompts); "
        "the end of FILE's name if not given."
    )
    return click.option("--format", help=about)(command)


def drawing_options(command: Command) -> Command:
    """Which figures, in which formats and which style."""
    about = (
        "How it looks: paper, or talk with heavier lines and type without serifs.  [default: paper]"
    )
    command = click.option("--style", type=click.Choice(("paper", "talk")), help=about)(command)
    about = "pdf, png or svg, or several with commas between.  [default: pdf,png]"
    command = click.option("--format", "formats", default="", callback=_split, help=about)(command)
    about = "Only this figure, by the name of its files; all that RUN allows if not given."
    return click.option("--figure", help=about)(command)


def _split(_context: click.Context, _option: click.Parameter, given: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.split(",") if part.strip())


def settings_of(config: type[Any], *names: str) -> Callable[[Command], Command]:
    """One option for each named setting of a stage, all of them if none is named.

    An option that is not given leaves the setting of ``config.toml`` as it is.
    """

    def decorate(command: Command) -> Command:
        for item in reversed(fields(config)):
            if item.name in names or (not names and item.name != "seed"):
                shown = f"{item.metadata['help']}  [new run: {item.default!s}]"
                if item.default == "":
                    shown = item.metadata["help"]
                flag = "--" + item.name.replace("_", "-")
                kind: dict[str, Any] = {"type": type(item.default), "help": shown}
                if (alone := item.metadata["alone"]) is not None:
                    kind |= {"is_flag": False, "flag_value": alone}
                command = click.option(flag, **kind)(command)
        return command

    return decorate
