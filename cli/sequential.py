"""A sequential audit on the command line: what is settled, and when to give up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.output import open_run
from cli.progress import ProgressBar

Command = TypeVar("Command", bound=Callable[..., Any])

_N_MAX = 200


def stopping_options(command: Command) -> Command:
    """The band, and where to stop."""
    about = "Whose pictures --until-settled makes.  [default: corrected]"
    sides = click.Choice(["base", "corrected"])
    command = click.option("--side", type=sides, help=about)(command)
    about = (
        f"Pictures of a subject after which --until-settled leaves it open.  [default: {_N_MAX}]"
    )
    command = click.option("--max-images", type=click.IntRange(1), help=about)(command)
    about = (
        "Make pictures of each occupation of RUN until its share of the female value is settled "
        "to be within LOW to HIGH or outside, and no more."
    )
    option = click.option("--until-settled", metavar="LOW:HIGH", help=about)
    return option(command)


@dataclass(frozen=True)
class Stopping:
    """A sequential audit that was asked for, or none."""

    band: str | None
    n_max: int | None
    side: str | None

    def __post_init__(self) -> None:
        if self.band is None and (self.n_max is not None or self.side is not None):
            raise click.UsageError("--max-images and --side are for --until-settled")

    def __bool__(self) -> bool:
        return self.band is not None

    def audit(self, run: Path, device: str) -> tuple[str, dict[str, Any]]:
        """Make the pictures; what people read, and what ``--json`` prints."""
        low, _, high = str(self.band).partition(":")
        try:
            band = float(low), float(high)
        except ValueError:
            raise click.UsageError(
                f"--until-settled is {self.band!r}; needed two shares, as in 0.35:0.65"
            ) from None
        from figures.text.audit import sequential_table

        with ProgressBar() as bar:
            found = open_run(run, bar, device).audit_until_settled(
                *band, n_max=self.n_max or _N_MAX, side=self.side or "corrected"
            )
        return sequential_table(found.to_json()), found.to_json()
