"""The release gate on the command line: bounds of options and of a policy, and exit code 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from probe.errors import DataError, OptionError

if TYPE_CHECKING:
    from probe.audit.release_gate import Bound

Command = TypeVar("Command", bound=Callable[..., Any])

FAILED = 3
"""Exit code where a bound is not kept."""


@dataclass(frozen=True)
class Gate:
    """Bounds that were asked for, and where the verdicts go."""

    bounds: list[Bound]
    junit: Path | None

    def __post_init__(self) -> None:
        if self.junit is not None and not self:
            raise click.UsageError("--junit reports on bounds, and none is given")

    @classmethod
    def parse(
        cls,
        fail_above: tuple[str, ...],
        fail_below: tuple[str, ...],
        policy: Path | None,
        junit: Path | None,
    ) -> Gate:
        """Read the bounds of the options and of the policy.

        Raises
        ------
        OptionError
            If a bound or the policy is wrong.
        """
        from probe.audit.release_gate import ABOVE, BELOW, Bound, read_policy

        bounds = [Bound.parse(text, ABOVE) for text in fail_above]
        bounds += [Bound.parse(text, BELOW) for text in fail_below]
        try:
            bounds += read_policy(policy) if policy else []
        except DataError as error:
            raise OptionError(str(error)) from error
        return cls(bounds, junit)

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def judge(self, found: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """Compare what was found with the bounds.

        Returns
        -------
        lines : list of str
            For people, one a bound.
        found : dict
            With the verdicts under ``gate``.
        """
        from probe.audit.release_gate import judge, verdicts_json, write_junit

        verdicts = judge(found, self.bounds)
        if self.junit is not None:
            source = str(found.get("source") or found.get("model") or "evaluate")
            write_junit(self.junit, verdicts, source=source)
        return [verdict.line() for verdict in verdicts], found | {"gate": verdicts_json(verdicts)}


def gate_options(command: Command) -> Command:
    """Bounds, a file of them, and a file for continuous integration."""
    file = click.Path(dir_okay=False, path_type=Path)
    about = "Where the verdicts are written as JUnit XML."
    command = click.option("--junit", type=file, help=about)(command)
    about = "Bounds in a TOML file: tables [fail_above] and [fail_below]."
    exists = click.Path(exists=True, dir_okay=False, path_type=Path)
    command = click.option("--policy", type=exists, help=about)(command)
    about = "Exit with 3 if the lower end of a figure's interval is smaller; may be repeated."
    option = click.option("--fail-below", metavar="FIGURE=NUMBER", multiple=True, help=about)
    command = option(command)
    about = (
        "Exit with 3 if the upper end of a figure's interval is larger, as in mad=0.15; may be "
        "repeated. In a run, figures are the corrected model's."
    )
    option = click.option("--fail-above", metavar="FIGURE=NUMBER", multiple=True, help=about)
    return option(command)
