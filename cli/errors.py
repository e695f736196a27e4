"""The one place where errors become messages on standard error and exit codes."""

import logging
import sys
import traceback
from typing import Any

import click

from cli import exit_code
from cli.help import GroupedCommands
from probe import __version__
from probe.errors import OptionError, ProbeError
from probe.io.escaping import printable
from probe.io.files import one_line

DEBUG = "--debug"
_LONG = 1000  # characters of the first and of the last part of a message that is cut

_BOUNDS = ("--fail-above", "--fail-below", "--policy", "--junit")
_MOVED = {
    "probe": {"": "study RUN NAME..."},
    "evaluate": {
        **{option: f"audit {option}" for option in ("--images", "--labels", "--counts")},
        "--until-settled": "audit RUN --sequential LOW HIGH",
        "--power": "power --difference NUMBER",
        **{option: f"check RUN {option}" for option in _BOUNDS},
    },
}
"""What commands, and options of them, are called now."""


class OneLineErrors(GroupedCommands):
    """A group whose commands report an expected error in one line, without a traceback."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the new command where the old name of one is given."""
        given = {arg.partition("=")[0] for arg in args[1:]} | {""}
        for option, new in () if ctx.resilient_parsing else _MOVED.get(args[0], {}).items():
            if option in given:
                old = f"{args[0]} {option}".rstrip()
                raise OptionError(f"`{old}` is now `moesd-probe {new}`")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept ``--debug`` anywhere on the command line, but for what follows ``--``."""
        options = args[: args.index("--")] if "--" in args else args
        if DEBUG in options:
            args = [DEBUG, *(each for each in options if each != DEBUG), *args[len(options) :]]
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Report errors of the system in one line: a full disk, a name that is too long, ..."""
        try:
            return super().main(*args, **extra)
        except OSError as error:  # that the reader of the output has gone is for click
            place = error.filename or "the output"
            _print_line(f"error: {place} cannot be used: {one_line(error)}")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and turn an exception into an exit code; see the help of `main`."""
        _print_warnings()
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except ProbeError as error:
            if ctx.params.get("debug"):
                _print_traceback()
            _print_line(f"error: {error}")
            ctx.exit(2 if isinstance(error, OptionError) else 1)
        except KeyboardInterrupt:
            _print_line("Interrupted. Run the same command again to resume.")
            ctx.exit(exit_code())
        except RecursionError:
            _print_line("error: a file is nested too deeply; needed one of fewer levels")
            ctx.exit(1)
        except Exception as error:
            is_of_system = isinstance(error, OSError) and error.errno is not None
            if ctx.params.get("debug") or not is_of_system:
                _print_traceback()
            if is_of_system:
                raise  # to `main`
            _print_line(
                f"unexpected {type(error).__name__}: {error}. This is a defect of moesd-probe "
                f"{__version__}, not a mistake of yours. Please report it with the command and the "
                "traceback above."
            )
            ctx.exit(1)


class _OneLine(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._printed:  # a prompt may be tokenized more than once
            _print_line(f"{record.levelname.lower()}: {text}")
        self._printed.add(text)


def _print_warnings() -> None:
    logger = logging.getLogger("probe")
    logger.handlers = [_OneLine()]
    logger.propagate = False


def _print_traceback() -> None:
    click.echo(traceback.format_exc(), err=True, nl=False)


def _print_line(text: str) -> None:
    line = printable(" ".join(["moesd-probe:", *text.split()]))
    if len(line) > 2 * _LONG:
        line = f"{line[:_LONG]} ... {line[-_LONG:]}"
    click.echo(line, err=True)
