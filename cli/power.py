"""How many pictures and subjects an audit needs, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def power_options(command: Command) -> Command:
    """What an audit is to be able to detect."""
    number = click.FloatRange(0, 1, min_open=True)
    about = "How much the change varies over subjects (SD); as much as --difference if not given."
    command = click.option("--spread", type=click.FloatRange(0, 1), help=about)(command)
    about = "The difference of a share, or of MAD, that --power is to detect."
    command = click.option("--difference", type=number, help=about)(command)
    about = "Only say how many pictures and subjects are needed, with power 0.8 at 5 %."
    return click.option("--power", is_flag=True, help=about)(command)


@dataclass(frozen=True)
class Plan:
    """What was asked of ``--power``."""

    is_asked: bool
    difference: float | None
    spread: float | None

    def __post_init__(self) -> None:
        if self.is_asked and self.difference is None:
            raise click.UsageError("--power needs --difference, as in --difference 0.1")
        if not self.is_asked and (self.difference is not None or self.spread is not None):
            raise click.UsageError("--difference and --spread are for --power")

    def __bool__(self) -> bool:
        return self.is_asked

    def make(self) -> dict[str, Any]:
        """Count, as ``--json`` prints it."""
        from probe.audit.planning import plan_audit

        return plan_audit(float(self.difference or 0), spread=self.spread)

    def tell(self, found: dict[str, Any]) -> str:
        """The same for people."""
        lines = [
            f"{found['images_per_subject']} pictures of one subject show that its share is not 1/2 "
            f"if it is {found['difference']:g} away",
            f"that two models differ by {found['difference']:g} in MAD (SD over subjects "
            f"{found['spread']:g}) is shown by",
            *(
                f"  {row['n_subjects']:>6} subjects of {row['n_images']} pictures each"
                for row in found["subjects"]
            ),
            "with power 0.8 at 5 %, both two-sided",
        ]
        return "\n".join(lines)
