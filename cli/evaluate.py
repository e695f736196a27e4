"""The command `evaluate`: the pictures of a run, or anybody's pictures, labels and counts."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from cli.audit import SOURCES, AuditRequest, audit_options
from cli.options import SettingsCommand, device_option, json_option, seed_option, settings_of
from cli.output import echo_json, given, open_run
from cli.power import Plan, power_options
from cli.progress import ProgressBar
from cli.release_gate import FAILED, Gate, gate_options
from cli.sequential import Stopping, stopping_options


@click.command(cls=SettingsCommand)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@audit_options
@stopping_options
@power_options
@gate_options
@settings_of("evaluate")
@seed_option("Seed of the resamples.")
@device_option
@json_option
@click.pass_context
def evaluate(
    context: click.Context,
    /,
    run: Path | None,
    until_settled: str | None,
    max_images: int | None,
    side: str | None,
    power: bool,
    difference: float | None,
    spread: float | None,
    fail_above: tuple[str, ...],
    fail_below: tuple[str, ...],
    policy: Path | None,
    junit: Path | None,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure fairness, quality and side effects, with intervals.

    Without RUN, audit what others made: pictures, labels or counts of any model, with what chance
    alone gives and what few pictures cannot tell.
    """
    from probe.run.registry import settings_tables

    plan, stopping = Plan(power, difference, spread), Stopping(until_settled, max_images, side)
    gate = Gate.parse(fail_above, fail_below, policy, junit)
    names = [item.name for item in fields(settings_tables()["evaluate"])]
    settings = {name: options.pop(name) for name in names}
    chosen = given(options)
    _check(run, plan, gate, chosen)
    if plan:
        found = plan.make()
        echo_json(found) if as_json else click.echo(plan.tell(found))
        return
    if stopping:
        said, found = stopping.audit(_run_of(run, gate, settings), device)
        echo_json(found) if as_json else click.echo(said)
        return
    said, found = _evaluate(run, chosen, settings, device)
    verdicts: list[str] = []
    if gate:
        verdicts, found = gate.judge(found)
    echo_json(found) if as_json else click.echo("\n".join([said, *verdicts]))
    if not all(verdict["is_kept"] for verdict in found.get("gate", ())):
        context.exit(FAILED)


def _evaluate(
    run: Path | None, chosen: dict[str, Any], settings: dict[str, Any], device: str
) -> tuple[str, dict[str, Any]]:
    """The text for people, and the data of ``--json``."""
    from figures.text.audit import audit_table
    from figures.text.evaluation import evaluation_table

    if run is None:
        audit = AuditRequest(chosen, settings, device).audit()
        return audit_table(audit.to_json()), audit.to_json()
    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).evaluate(**given(settings))
    return f"{outcome.line()}\n{evaluation_table(outcome.result.to_json())}", outcome.to_json()


def _run_of(run: Path | None, gate: Gate, settings: dict[str, Any]) -> Path:
    """The run of a sequential audit, which takes its settings from there."""
    if run is None or gate or given(settings):
        raise click.UsageError("--until-settled needs RUN and takes its settings from there")
    return run


def _check(run: Path | None, plan: Plan, gate: Gate, chosen: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    named = [name for name in SOURCES if name in chosen]
    if plan:
        if run is not None or chosen or gate:
            raise click.UsageError("--power plans an audit and looks at nothing: give it alone")
        return
    if len(named) + (run is not None) != 1:
        raise click.UsageError("give RUN, or one of --images, --labels, --counts")
    if run is not None and chosen:
        name = next(iter(chosen)).replace("_", "-")
        raise click.UsageError(f"--{name} is for what is audited without RUN")
