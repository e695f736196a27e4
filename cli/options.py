"""The options that commands share, and those that are derived from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.help import ADVANCED, GENERAL, GroupedOptions, Option

if TYPE_CHECKING:
    from probe.io.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
_OWN_SUFFIXES = (".xml", ".md")  # no stage writes such a file: one that exists is a command's own

run_argument = click.argument("run", type=FOLDER)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else there."
)
full_option = click.option("--full", is_flag=True, help="Show everything, in more lines.")
device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Device of the weights: cpu, cuda, cuda:1, mps.",
)


def stacked(*decorators: Decorator) -> Decorator:
    """Join options into one decorator, in the order of the help."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def option_group(title: str, **group: Mapping[str, Any]) -> Decorator:
    """Make options of their parameter names and the arguments of `click.option`."""
    return stacked(
        *(
            click.option("--" + name.replace("_", "-"), cls=Option, group=title, **each)
            for name, each in group.items()
        )
    )


start_options = option_group(
    "Start of a run",
    model={"help": "tinytown, a folder, or a hub id. Needed for a new run only."},
    encoder={
        "help": "Text encoder of a pipeline that has several. If not given: `run` takes the one "
        "whose bias score predicts images of validation occupations best, `embed` the first."
    },
    instruction={
        "help": "Text that a decoder-only text encoder alone (Gemma, Llama, ...) reads before "
        "every prompt; that of Sana is the pipeline's own."
    },
    lexicon={
        "type": FILE,
        "help": "Lexicon of words and templates (TOML), copied into RUN; the shipped one if not "
        "given.",
    },
    split={
        "type": click.IntRange(0),
        "help": "Random split of the occupations into training, validation and test, 1, 2, ...; 0 "
        "takes the lexicon's own.",
    },
    language={
        "help": "Language of the prompts: en, de, es, fr, it, ja, pt, zh, or a TOML file, which is "
        "copied into RUN."
    },
    form={
        "type": click.Choice(("masculine", "star", "neutral")),
        "help": "Neutral form of its occupations: generic masculine, of both genders, or of none.  "
        "[default: masculine; neutral where nouns have no gender]",
    },
)
EXECUTOR: dict[str, dict[str, Any]] = {
    "executor": {
        "type": click.Choice(("local", "ray")),
        "help": "Where prompts are embedded, images made and labelled: in this process, or by "
        "workers of Ray (the extra `ray`), to the same files.  [default: local]",
    },
    "address": {
        "help": "Ray cluster: HOST:PORT, or auto for that of this machine; not given, Ray is "
        "started here."
    },
    "workers": {
        "type": click.IntRange(1),
        "help": "Workers of Ray; as many as it has place for, if not given.",
    },
    "gpus_per_worker": {
        "type": click.FloatRange(0, min_open=True),
        "help": "GPUs of each worker, with --device cuda; 0.5 puts two on a GPU.  [default: 1]",
    },
    "shared": {
        "is_flag": True,
        "default": None,
        "help": "Workers have RUN at the same path, and write its states and images themselves.",
    },
}
execution_options = stacked(device_option, option_group(ADVANCED, **EXECUTOR))
run_seed_option = click.option("--seed", type=SEED, help="Seed of the whole run, kept in it.")
Tables = Mapping[str, type["Settings"]]


def settings_of(
    *tables: str | Callable[[], Tables],
    only: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    in_file: Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Derive an option from each setting, or from ``only`` some, of tables of ``config.toml``.

    The command must be a `SettingsCommand`: the options are derived when they are first needed,
    because they come from every stage and study that is installed. A table is given by its name,
    or by a function that returns tables by name. ``groups`` are settings by the title of their
    group in the help; those ``in_file`` are so rare that they have no option.
    """
    titles = {name: title for title, names in (groups or {}).items() for name in names}

    def decorate(command: Function) -> Function:
        wanted = vars(command).setdefault("settings_of", [])
        wanted.insert(0, (tables, tuple(only), titles, tuple(in_file)))
        return command

    return decorate


class Command(GroupedOptions):
    """A command that never overwrites what it reads, and takes a single value once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is given again: only its last value would count."""
        flags = [arg.partition("=")[0] for arg in args if arg.startswith("--")]
        for param in self.get_params(ctx):
            n = sum(flag in param.opts for flag in flags)
            if isinstance(param, click.Option) and not (param.multiple or param.is_flag) and n > 1:
                raise click.UsageError(f"{param.opts[0]} is given {n} times; needed once", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse an output that is an input, an image that is read, or a file of a run."""
        seen: dict[Path, str] = {}
        for param in sorted(self.get_params(ctx), key=lambda param: param.type is OUTPUT):
            value, name = ctx.params.get(param.name or ""), param.opts[-1]
            if isinstance(param, click.Argument):
                name = param.human_readable_name
            if param.type is OUTPUT and value is not None:
                _refuse_overwriting(value, name, seen, ctx.params.get("images"))
            values = value if isinstance(value, tuple) else (value,)
            seen |= {Path(path): name for path in values if isinstance(path, str | Path)}
        return super().invoke(ctx)


def _refuse_overwriting(
    output: Path, name: str, seen: Mapping[Path, str], images: Path | None
) -> None:
    place, is_file = output.resolve(), output.is_file()
    if not place.parent.is_dir():
        raise click.UsageError(
            f"{name} is {output}, but the folder {output.parent} does not exist; create it, or "
            "name another file"
        )
    for path, other in seen.items():
        is_same = path.resolve() == place
        with suppress(OSError):  # one of the two does not exist
            is_same |= output.samefile(path)
        if is_same:
            raise click.UsageError(
                f"{name} and {other} name the same file, {output}: {name} would overwrite it; "
                "name another file"
            )
    for folder in place.parents if is_file and place.suffix not in _OWN_SUFFIXES else ():
        is_run = _holds_run(folder / "config.toml")
        if is_run or (images is not None and folder == images.resolve()):
            whose = f"the run {folder}" if is_run else f"{folder}, which is read"
            raise click.UsageError(
                f"{name} would overwrite a file of {whose}: {output}; name another file"
            )


def _holds_run(settings: Path) -> bool:
    text = settings.read_text("utf-8", errors="replace") if settings.is_file() else ""
    return "\nschema = " in text and "\nmodel = " in text


class SettingsCommand(Command):
    """A command with options that are derived from settings."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments, the derived options, then the other options."""
        own = super().get_params(ctx)
        arguments = [each for each in own if isinstance(each, click.Argument)]
        return [*arguments, *self._derived, *(each for each in own if each not in arguments)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the settings that have no option."""
        for tables, _, _, in_file in vars(self.callback).get("settings_of", ()):
            if in_file:
                text = f"RUN/config.toml, [{tables[0]}], also sets {', '.join(in_file)}."
                formatter.write_paragraph()
                formatter.write_text(text)

    @cached_property
    def _derived(self) -> list[click.Option]:
        from probe.run.registry import settings_tables

        known, options = settings_tables(), {}
        for tables, only, titles, in_file in vars(self.callback).get("settings_of", ()):
            for table in tables:
                of_table = {table: known[table]} if isinstance(table, str) else table()
                for kind in of_table.values():
                    for item in fields(kind):
                        if (not only or item.name in only) and item.name not in in_file:
                            options[item.name] = _option(item, titles.get(item.name, GENERAL))
        return list(options.values())


def _option(item: Field[Any], group: str) -> Option:
    metadata, kind = item.metadata, type(item.default)
    low, high = metadata["minimum"], metadata["maximum"]
    typed: Any = kind
    if metadata["choices"]:
        typed = click.Choice(metadata["choices"])
    elif {low, high} != {None}:
        typed = (click.IntRange if kind is int else click.FloatRange)(low, high)
    about = metadata["help"] + (f"  [new run: {item.default}]" if item.default != "" else "")
    name = "--" + item.name.replace("_", "-")
    flag: dict[str, Any] = {}
    if metadata["alone"] is not None:
        flag = {"is_flag": False, "flag_value": metadata["alone"]}
    return Option([name], type=typed, default=None, help=about, group=group, **flag)
