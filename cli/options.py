"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from probe.io.settings import Settings

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


Tables = Mapping[str, type["Settings"]]


def settings_of(
    *tables: str | Callable[[], Tables], only: Sequence[str] = ()
) -> Callable[[Command], Command]:
    """Derive one option from each setting of some tables of ``config.toml``.

    An option that is not given leaves the setting of ``config.toml`` as it is. The command must be
    a `SettingsCommand`: the options are derived when they are first needed, because they come from
    every stage and study that is installed.

    Parameters
    ----------
    tables : str or callable
        Names of tables, or functions that return tables by name.
    only : sequence of str
        Names of the settings; all of them but ``seed`` if empty.
    """

    def decorate(command: Command) -> Command:
        wanted = vars(command).setdefault("settings_of", [])
        wanted.insert(0, (tables, tuple(only)))
        return command

    return decorate


class SettingsCommand(click.Command):
    """A command with options that are derived from settings."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments, the derived options, then the other options."""
        own = super().get_params(ctx)
        arguments = [each for each in own if isinstance(each, click.Argument)]
        return [*arguments, *self._derived, *(each for each in own if each not in arguments)]

    @cached_property
    def _derived(self) -> list[click.Option]:
        from probe.run.registry import settings_tables

        known, options = settings_tables(), {}
        for tables, only in vars(self.callback).get("settings_of", ()):
            for table in tables:
                of_table = {table: known[table]} if isinstance(table, str) else table()
                for kind in of_table.values():
                    for item in fields(kind):
                        if item.name in only or (not only and item.name != "seed"):
                            options[item.name] = _option(item)
        return list(options.values())


class SettingType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Values of one setting, within its bounds."""

    def __init__(self, item: Field[Any]) -> None:
        self._item = item
        kinds = {bool: "boolean", int: "integer", float: "float", str: "text"}
        self.name = kinds[type(item.default)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the choices, if the setting has any."""
        choices = self._item.metadata["choices"]
        return f"[{'|'.join(choices)}]" if choices else None

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value; one that is not allowed is wrong usage."""
        from probe.io.settings import parse_value

        if not isinstance(value, str):
            return value
        try:
            return parse_value(self._item, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _option(item: Field[Any]) -> click.Option:
    metadata = item.metadata
    notes = [f"new run: {item.default}"] if item.default != "" else []
    for name, sign in (("minimum", ">="), ("maximum", "<="), ("below", "<")):
        if (bound := metadata[name]) is not None and not (name == "minimum" and bound == 0):
            notes.append(f"{sign} {bound:g}")
    about = metadata["help"] + (f"  [{'; '.join(notes)}]" if notes else "")
    flag: dict[str, Any] = {}
    if metadata["alone"] is not None:
        flag = {"is_flag": False, "flag_value": metadata["alone"]}
    name = "--" + item.name.replace("_", "-")
    return click.Option([name], type=SettingType(item), help=about, **flag)
