"""The command `evaluate`: the pictures of a run, or anybody's pictures, labels and counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.options import device_option, json_option, seed_option, settings_of
from cli.progress import ProgressBar
from cli.telling import echo_json, given, open_run, tell_outcome
from probe.experiment.config import EvaluateConfig

if TYPE_CHECKING:
    from probe.images.audit.tables import CountTable, LabelTable

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OF_A_RUN = ("female", "male")


def source_options(command: Command) -> Command:
    """What is audited where there is no run."""
    about = "Shares or counts by subject, to correlate the pictures' shares with."
    command = click.option("--reference", type=_FILE, help=about)(command)
    about = "Column of --reference; needed only if several could be meant."
    command = click.option("--column", help=about)(command)
    about = "The value whose share is correlated with --reference; the first one if not given."
    command = click.option("--value", help=about)(command)
    about = "What is fair: parity, shares as in woman=0.3,man=0.7, or a table of them by subject."
    command = click.option("--target", help=f"{about}  [default: parity]")(command)
    about = "All values of the attribute, as in woman,man; others are refused."
    command = click.option("--values", help=about)(command)
    about = "Counts in place of RUN: by subject and value, long, wide, or Fair-Diffusion's txt."
    command = click.option("--counts", type=_FILE, help=about)(command)
    about = "Labels in place of RUN, a row a picture: subject, attributes, seed."
    return click.option("--labels", type=_FILE, help=about)(command)


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@source_options
@settings_of(EvaluateConfig)
@seed_option("Seed of the resamples.")
@device_option
@json_option
def evaluate(
    run: Path | None,
    labels: Path | None,
    counts: Path | None,
    values: str | None,
    target: str | None,
    reference: Path | None,
    column: str | None,
    value: str | None,
    device: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure fairness, quality and side effects, with intervals.

    Without RUN, audit what others made: pictures, labels or counts of any model, with what chance
    alone gives and what few pictures cannot tell.
    """
    named = given({"labels": labels, "counts": counts})
    if len(named) + (run is not None) != 1:
        raise click.UsageError("give RUN, or one of --labels and --counts in its place")
    chosen = given({"target": target, "reference": reference, "column": column, "value": value})
    if run is not None:
        if others := given({"values": values}) | chosen:
            raise click.UsageError(f"--{next(iter(others))} is for what is audited without RUN")
        with ProgressBar() as bar:
            outcome = open_run(run, bar, device).evaluate(**given(settings))
        tell_outcome(outcome, as_json)
        return
    _audit(_read(labels, counts, settings["attribute"], values), chosen, settings, as_json)


def _audit(
    source: CountTable | LabelTable,
    chosen: dict[str, Any],
    settings: dict[str, Any],
    as_json: bool,
) -> None:
    from probe.experiment.auditing import AuditSettings, audit_source

    drawn = {name: settings[name] for name in ("n_bootstrap", "seed")}
    options: dict[str, Any] = {name: str(value) for name, value in chosen.items()} | given(drawn)
    audit = audit_source(source, AuditSettings(**options), attribute=settings["attribute"])
    echo_json(audit.to_json()) if as_json else click.echo(audit.summary())


def _read(
    labels: Path | None, counts: Path | None, attribute: str | None, values: str | None
) -> CountTable | LabelTable:
    from probe.experiment.auditing.sources import read_source

    known = [value.strip() for value in values.split(",")] if values else None
    return read_source(labels=labels, counts=counts, attribute=attribute, values=known)
