"""The command `evaluate`: the images of a run, or images, labels and counts from any source."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.evaluate_options import (
    AUDIT,
    GATE,
    N_MAX,
    POWER,
    SOURCES,
    STOPPING,
    Options,
    check_options,
)
from cli.options import (
    FOLDER,
    SettingsCommand,
    device_option,
    json_option,
    option_group,
    settings_of,
)
from cli.output import ProgressBar, echo_json, given, open_run

if TYPE_CHECKING:
    from probe.audit.release_gate import Bound
    from probe.audit.sources import Source

FAILED = 3
"""Exit code if a bound is exceeded."""


@click.command(cls=SettingsCommand)
@click.argument("run", required=False, type=FOLDER)
@option_group(AUDIT | STOPPING | POWER | GATE)
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
    source, stopping, power, gate, settings = (
        given({name: options[name] for name in group})
        for group in (AUDIT, STOPPING, POWER, GATE, names)
    )
    bounds = _read_bounds(gate)
    check_options(run, source, stopping, power, gate, settings)
    if power:
        text, found = _plan(**power)
    elif run is None:
        text, found = _audit(source, settings, device)
    elif stopping:
        text, found = _audit_sequentially(run, device, **stopping)
    else:
        text, found = _evaluate(run, settings, device)
    lines, is_kept = [text], True
    if bounds:
        from probe.audit.release_gate import check_bounds, write_junit

        verdicts = check_bounds(found, bounds)
        if (path := gate.get("junit")) is not None:
            write_junit(path, verdicts, source=str(found.get("source") or found.get("model")))
        found |= {"gate": [asdict(verdict) for verdict in verdicts]}
        lines += [verdict.line() for verdict in verdicts]
        is_kept = all(verdict.is_kept for verdict in verdicts)
    echo_json(found) if as_json else click.echo("\n".join(lines))
    if not is_kept:
        context.exit(FAILED)


def _read_bounds(gate: Options) -> list[Bound]:
    if not gate:
        return []
    from figures.text.terms import BOUNDED
    from probe.audit.release_gate import ABOVE, BELOW, Bound, check_names, read_policy
    from probe.errors import DataError, OptionError

    bounds = [Bound.parse(text, ABOVE) for text in gate.get("fail_above", ())]
    bounds += [Bound.parse(text, BELOW) for text in gate.get("fail_below", ())]
    try:
        bounds += read_policy(gate["policy"]) if "policy" in gate else []
    except DataError as error:
        raise OptionError(str(error)) from error
    check_names(bounds, BOUNDED)
    return bounds


def _evaluate(run: Path, settings: Options, device: str) -> tuple[str, Options]:
    """Return the text for people, and the data of ``--json``; so do the functions below."""
    from figures.text.tables import evaluation_table

    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).evaluate(**settings)
    return f"{outcome.line()}\n{evaluation_table(outcome.result.to_json())}", outcome.to_json()


def _audit(options: Options, settings: Options, device: str) -> tuple[str, Options]:
    from figures.text.audit import audit_table, groups_table
    from probe.audit.audit import AuditSettings, audit_source, write_shares
    from probe.audit.groups import audit_groups
    from probe.audit.tables import LabelTable

    kind = next(name for name in SOURCES if name in options)
    source = _source(kind, options[kind], options, settings, device)
    own, shared = ("target", "reference", "column", "value"), ("calibration", "n_bootstrap", "seed")
    chosen: Options = {name: str(options[name]) for name in own if name in options}
    chosen |= {name: settings[name] for name in shared if name in settings}
    how = AuditSettings(**chosen)
    attribute, margin = settings.get("attribute"), options.get("margin", 0.05)
    if "by" in options and isinstance(source, LabelTable):
        audits, pairs = audit_groups(source, how, attribute=attribute, margin=margin)
        found: Options = {
            **{"source": source.source, "by": options["by"], "notes": list(source.notes)},
            "groups": [{"group": name, **of.to_json()} for name, of in audits.items()],
            "differences": pairs,
        }
    else:
        audits = {"": audit_source(source, how, attribute=attribute)}
        if "against" in options:
            other = _source(kind, options["against"], options, settings, device, is_strict=False)
            audits[""] = audits[""].against(source, other, how, margin=margin)
        found = audits[""].to_json()
    if "table" in options:
        write_shares(options["table"], audits)
    return (groups_table if "groups" in found else audit_table)(found), found


def _source(
    kind: str,
    path: Path,
    options: Options,
    settings: Options,
    device: str,
    *,
    is_strict: bool = True,
) -> Source:
    from probe.audit.image_labels import label_folder
    from probe.audit.readers.selection import Selection
    from probe.audit.sources import read_source

    named, attribute = options.get("values"), settings.get("attribute")
    values = [value.strip() for value in named.split(",")] if named else None
    selection = Selection.parse(options.get("where", ()), options.get("by"), options.get("map", ()))
    selection = replace(selection, is_strict=is_strict)
    if kind != "images":
        labels, counts = (path if kind == name else None for name in ("labels", "counts"))
        return read_source(
            labels=labels, counts=counts, attribute=attribute, values=values, selection=selection
        )
    names = ("classifier", "clip", "faces", "face_margin")
    with ProgressBar() as bar:
        return label_folder(
            path,
            attribute=attribute,
            values=values,
            min_confidence=options.get("min_confidence", 0.0),
            device=device,
            selection=selection,
            progress=bar,
            **{name: settings.get(name) for name in names},
        )


def _audit_sequentially(
    run: Path, device: str, *, until_settled: str, max_images: int = N_MAX, side: str = "corrected"
) -> tuple[str, Options]:
    from figures.text.audit import sequential_table

    low, _, high = until_settled.partition(":")
    try:
        band = float(low), float(high)
    except ValueError:
        raise click.UsageError(
            f"--until-settled is {until_settled!r}; needed two shares, as in 0.35:0.65"
        ) from None
    with ProgressBar() as bar:
        experiment = open_run(run, bar, device)
        found = experiment.audit_until_settled(*band, n_max=max_images, side=side).to_json()
    return sequential_table(found), found


def _plan(*, power: bool, difference: float, spread: float | None = None) -> tuple[str, Options]:
    from figures.text.audit import power_table
    from probe.stats.power import plan_audit

    found = plan_audit(difference, spread=spread)
    return power_table(found), found
