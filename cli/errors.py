"""The one place where errors become a line on standard error and an exit code."""

from __future__ import annotations

import logging
from typing import Any

import click

from probe.errors import ProbeError


class OneLineErrors(click.Group):
    """A group whose commands end in one line when the library refuses something."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of their definition, which is that of the road."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; 1 after an error, 130 after Ctrl-C."""
        _hear_warnings()
        try:
            return super().invoke(ctx)
        except (ProbeError, ValueError) as error:
            _say(f"error: {error}")
            ctx.exit(1)
        except KeyboardInterrupt:
            _say("stopped; the same command goes on where it was")
            ctx.exit(130)


class _OneLine(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._said:  # a prompt may be tokenized more than once
            _say(f"{record.levelname.lower()}: {text}")
        self._said.add(text)


def _hear_warnings() -> None:
    logger = logging.getLogger("probe")
    logger.handlers = [_OneLine()]
    logger.propagate = False


def _say(text: str) -> None:
    click.echo(" ".join(["moesd-probe:", *text.split()]), err=True)
