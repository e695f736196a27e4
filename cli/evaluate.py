"""The command `evaluate`: the images of a run, or images, labels and counts from any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.audit import SOURCES, audit, audit_options
from cli.options import (
    FILE,
    FOLDER,
    OUTPUT,
    SettingsCommand,
    device_option,
    json_option,
    settings_of,
    stacked,
)
from cli.output import echo_json, given, open_run
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from probe.audit.release_gate import Bound

Options = dict[str, Any]

FAILED = 3
"""Exit code if a bound is exceeded."""
_N_MAX = 200
_STOPPING = ("until_settled", "max_images", "side")
_POWER = ("power", "difference", "spread")
_GATE = ("fail_above", "fail_below", "policy", "junit")

stopping_options = stacked(
    click.option(
        "--until-settled",
        metavar="LOW:HIGH",
        help="Make images of each occupation of RUN until it is settled whether its share of the "
        "female value is within LOW to HIGH, and no more.",
    ),
    click.option(
        "--max-images",
        type=click.IntRange(1),
        help="Images of a subject after which --until-settled leaves it open.  "
        f"[default: {_N_MAX}]",
    ),
    click.option(
        "--side",
        type=click.Choice(["base", "corrected"]),
        help="Model whose images --until-settled makes.  [default: corrected]",
    ),
)
power_options = stacked(
    click.option(
        "--power",
        is_flag=True,
        help="Only print how many images and subjects are needed, with power 0.8 at 5 %.",
    ),
    click.option(
        "--difference",
        type=click.FloatRange(0, 1, min_open=True),
        help="The difference of a share, or of MAD, that --power is to detect.",
    ),
    click.option(
        "--spread",
        type=click.FloatRange(0, 1),
        help="SD of the change over subjects; the value of --difference if not given.",
    ),
)
gate_options = stacked(
    click.option(
        "--fail-above",
        metavar="FIGURE=NUMBER",
        multiple=True,
        help="Exit with 3 if the upper confidence limit of a figure is larger, as in mad=0.15; "
        "may be repeated. In a run, figures are the corrected model's.",
    ),
    click.option(
        "--fail-below",
        metavar="FIGURE=NUMBER",
        multiple=True,
        help="Exit with 3 if the lower confidence limit of a figure is smaller; may be repeated.",
    ),
    click.option(
        "--policy",
        type=FILE,
        help="Bounds in a TOML file: tables [fail_above] and [fail_below].",
    ),
    click.option("--junit", type=OUTPUT, help="Write the verdicts to this file, as JUnit XML."),
)


@click.command(cls=SettingsCommand)
@click.argument("run", required=False, type=FOLDER)
@audit_options
@stopping_options
@power_options
@gate_options
@settings_of("evaluate")
@device_option
@json_option
@click.pass_context
def evaluate(
    context: click.Context, /, run: Path | None, device: str, as_json: bool, **options: Any
) -> None:
    """Measure fairness, quality and side effects, with intervals.

    Without RUN, audit images, labels or counts of any model, with the noise floor and what few
    images cannot show.
    """
    from probe.run.registry import settings_tables

    names = [item.name for item in fields(settings_tables()["evaluate"])]
    settings = given({name: options.pop(name) for name in names})
    power, stopping, gate = (_take(options, group) for group in (_POWER, _STOPPING, _GATE))
    source = given(options)
    bounds = _read_bounds(gate)
    _check(run, source, power, stopping, gate)
    verdicts: Sequence[Any] = ()
    if power:
        text, found = _plan(power)
    elif stopping:
        if run is None or gate or settings:
            raise click.UsageError("--until-settled needs RUN and takes its settings from there")
        text, found = _audit_sequentially(run, stopping, device)
    else:
        text, found = _evaluate(run, source, settings, device)
    if bounds:
        from probe.audit.release_gate import check_bounds, verdicts_json, write_junit

        verdicts = check_bounds(found, bounds)
        if (path := gate.get("junit")) is not None:
            write_junit(path, verdicts, source=str(found.get("source") or found.get("model")))
        found |= {"gate": verdicts_json(verdicts)}
    lines = [text, *(verdict.line() for verdict in verdicts)]
    echo_json(found) if as_json else click.echo("\n".join(lines))
    if not all(verdict["is_kept"] for verdict in found.get("gate", ())):
        context.exit(FAILED)


def _take(options: Options, names: Sequence[str]) -> Options:
    """Take a group of options out of the others; those that were not given are left out."""
    group = {name: options.pop(name) for name in names}
    return {
        name: value
        for name, value in group.items()
        if value is not False and value != () and value is not None
    }


def _check(
    run: Path | None, source: Options, power: Options, stopping: Options, gate: Options
) -> None:
    """Refuse options that do not go together."""
    if power and "power" not in power:
        raise click.UsageError("--difference and --spread are for --power")
    if power and "difference" not in power:
        raise click.UsageError("--power needs --difference, as in --difference 0.1")
    if stopping and "until_settled" not in stopping:
        raise click.UsageError("--max-images and --side are for --until-settled")
    if set(gate) == {"junit"}:
        raise click.UsageError("--junit reports on bounds, and none is given")
    if power:
        if run is not None or source or gate:
            raise click.UsageError("--power plans an audit and looks at nothing: give it alone")
    elif sum(name in source for name in SOURCES) + (run is not None) != 1:
        raise click.UsageError("give RUN, or one of --images, --labels, --counts")
    elif run is not None and source:
        name = next(iter(source)).replace("_", "-")
        raise click.UsageError(f"--{name} is for what is audited without RUN")


def _read_bounds(gate: Options) -> list[Bound]:
    if not gate:
        return []
    from probe.audit.release_gate import ABOVE, BELOW, Bound, read_policy
    from probe.errors import DataError, OptionError

    bounds = [Bound.parse(text, ABOVE) for text in gate.get("fail_above", ())]
    bounds += [Bound.parse(text, BELOW) for text in gate.get("fail_below", ())]
    try:
        return bounds + (read_policy(gate["policy"]) if "policy" in gate else [])
    except DataError as error:
        raise OptionError(str(error)) from error


def _evaluate(
    run: Path | None, source: Options, settings: Options, device: str
) -> tuple[str, Options]:
    """Return the text for people, and the data of ``--json``."""
    from figures.text.audit import audit_table
    from figures.text.tables import evaluation_table

    if run is None:
        found = audit(source, settings, device).to_json()
        return audit_table(found), found
    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).evaluate(**settings)
    return f"{outcome.line()}\n{evaluation_table(outcome.result.to_json())}", outcome.to_json()


def _audit_sequentially(run: Path, stopping: Options, device: str) -> tuple[str, Options]:
    from figures.text.audit import sequential_table

    low, _, high = stopping["until_settled"].partition(":")
    try:
        band = float(low), float(high)
    except ValueError:
        raise click.UsageError(
            f"--until-settled is {stopping['until_settled']!r}; needed two shares, as in 0.35:0.65"
        ) from None
    n_max, side = stopping.get("max_images", _N_MAX), stopping.get("side", "corrected")
    with ProgressBar() as bar:
        experiment = open_run(run, bar, device)
        found = experiment.audit_until_settled(*band, n_max=n_max, side=side)
    return sequential_table(found.to_json()), found.to_json()


def _plan(power: Options) -> tuple[str, Options]:
    from probe.stats.power import plan_audit

    found = plan_audit(power["difference"], spread=power.get("spread"))
    lines = [
        f"{found['images_per_subject']} images of one subject show that its share is not 1/2 "
        f"if it is {found['difference']:g} away",
        f"that two models differ by {found['difference']:g} in MAD (SD over subjects "
        f"{found['spread']:g}) is shown by",
        *(
            f"  {row['n_subjects']:>6} subjects of {row['n_images']} images each"
            for row in found["subjects"]
        ),
        "with power 0.8 at 5 %, both two-sided",
    ]
    return "\n".join(lines), found
