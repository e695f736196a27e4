"""What commands share: opening their run, showing progress, and printing the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import EXECUTOR
from probe.io.escaping import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from probe.io.executors import Executor
    from probe.run.experiment import Experiment
    from probe.run.pipeline import Outcome
    from probe.run.registry import Result


class ProgressBar:
    """Shows how far a stage is, on a terminal only; called with (what, done, total)."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` pieces of ``what`` are done."""
        if not sys.stderr.isatty():
            return
        bar = self._bar or self._open()
        if what not in self._tasks:
            self._tasks[what] = bar.add_task(printable(what), total=total)
        bar.update(self._tasks[what], completed=done, total=total)

    def echo(self, text: str) -> None:
        """Print a line on standard output, in place of the bar."""
        self.clear()
        echo(text)

    def clear(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}

    def _open(self) -> Progress:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar


def echo(text: str = "") -> None:
    """Print text on standard output; what a file holds cannot control the terminal."""
    click.echo(printable(text))


def open_run(
    run: Path, bar: ProgressBar | None, device: str = "cpu", options: dict[str, Any] | None = None
) -> Experiment:
    """Open the run that a command is about; see `take_executor`."""
    from probe.run.experiment import Experiment

    executor = take_executor({} if options is None else options, device)
    return Experiment.open(run, device=device, progress=bar, executor=executor)


def take_executor(options: dict[str, Any], device: str) -> Executor | None:
    """Remove from a command's options those that name an executor, and start it."""
    kind, *others = (options.pop(name, None) for name in EXECUTOR)
    if kind == "ray":
        from probe.io.executors import RayExecutor

        names = ("address", "n_workers", "gpus_per_worker", "is_shared")
        return RayExecutor(device=device, **dict(zip(names, others, strict=True)))
    if others != [None] * len(others):
        raise click.UsageError("options of workers (--workers, --shared, ...) need --executor ray")
    return None


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep the options that were given."""
    return {name: value for name, value in settings.items() if value not in (None, ())}


def echo_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print whether a stage was made, and what it found."""
    if as_json:
        echo_json(outcome.to_json())
        return
    echo(outcome.line())
    if summary := outcome.result.summary():
        echo(summary)


def echo_evaluation(run: Path, quality: Mapping[str, Any], *, is_full: bool = False) -> None:
    """Print what an evaluation of RUN found: with styles on a terminal, plain elsewhere."""
    from rich.console import Console
    from rich.text import Text

    from figures.text.result import WARNING, result_table
    from figures.text.tables import evaluation_table
    from probe.io.artifacts import read_table
    from probe.run.files import SHARES

    shares, _ = read_table(run / SHARES, kind="shares")
    text = Text(printable(result_table(quality, shares)))
    text.highlight_regex(r"(?m)\A.*|^[A-Z]{5,} ", "bold")
    text.highlight_words([WARNING], "bold red")
    Console(highlight=False, soft_wrap=True).print(text)
    if is_full:
        echo(f"\n{evaluation_table(quality)}")


def echo_answer(answer: Result, as_json: bool) -> None:
    """Print an answer of the library."""
    echo_json(answer.to_json()) if as_json else echo(answer.summary())


def echo_json(data: dict[str, Any]) -> None:
    """Print JSON; NaN is refused."""
    echo(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
