"""What commands share: opening their run, and printing the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.progress import ProgressBar

if TYPE_CHECKING:
    from probe.run.experiment import Experiment
    from probe.run.pipeline import Outcome
    from probe.run.registry import Result


def open_run(run: Path, bar: ProgressBar | None, device: str = "cpu") -> Experiment:
    """Open the run that a command is about."""
    from probe.run.experiment import Experiment

    return Experiment.open(run, device=device, progress=bar)


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep the options that were given."""
    return {name: value for name, value in settings.items() if value not in (None, ())}


def echo_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print whether a stage was made, and what it found."""
    if as_json:
        echo_json(outcome.to_json())
        return
    from figures.text.tables import summary_of

    click.echo(outcome.line())
    if summary := summary_of(outcome.stage, outcome.result):
        click.echo(summary)


def echo_answer(answer: Result, as_json: bool) -> None:
    """Print an answer of the library."""
    echo_json(answer.to_json()) if as_json else click.echo(answer.summary())


def echo_json(data: dict[str, Any]) -> None:
    """Print JSON; NaN is refused."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
