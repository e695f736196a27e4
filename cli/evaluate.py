"""The command `evaluate`: the images of a run, or images, labels and counts from any source."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import (
    FILE,
    FOLDER,
    OUTPUT,
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

Options = dict[str, Any]

FAILED = 3
"""Exit code if a bound is exceeded."""
SOURCES = ("images", "labels", "counts")
"""Options that name what is audited in place of a run."""
_N_MAX = 200

_AUDIT: dict[str, Options] = {
    "images": {
        "type": click.Path(exists=True, file_okay=False, path_type=Path),
        "help": "Images in place of RUN: a folder with metadata.jsonl, metadata.csv or "
        "labels.csv, or with a sub-folder a subject. Seen by --classifier, or by --clip with "
        "--values.",
    },
    "min_confidence": {
        "type": click.FloatRange(0, 1),
        "help": "Images whose most probable value is less probable than this count as ambiguous.",
    },
    "labels": {
        "type": FILE,
        "help": "Labels in place of RUN, a row an image: subject, attributes, seed.",
    },
    "counts": {
        "type": FILE,
        "help": "Counts in place of RUN: by subject and value, long, wide (shares with n "
        "too), or Fair-Diffusion's txt.",
    },
    "by": {
        "metavar": "COLUMN,...",
        "help": "Measure the images of each model, setting, ... on their own, and compare all "
        "pairs of groups (Holm).",
    },
    "where": {
        "metavar": "COLUMN=VALUE",
        "multiple": True,
        "help": "Read these rows of the table only, as in model=sd15; may be repeated.",
    },
    "map": {
        "metavar": "VALUE=VALUE",
        "multiple": True,
        "help": "Count a value as another, as in females=woman; may be repeated.",
    },
    "values": {"help": "All values of the attribute, as in woman,man; others are refused."},
    "target": {
        "help": "What is fair: parity, shares as in woman=0.3,man=0.7, or a table of them by "
        "subject.  [default: parity]",
    },
    "against": {
        "type": click.Path(exists=True, path_type=Path),
        "help": "A second source of the same kind, to compare the first with.",
    },
    "margin": {
        "type": click.FloatRange(0, 1, min_open=True),
        "help": "Largest difference of --against or --by that does not matter.  [default: 0.05]",
    },
    "reference": {
        "type": FILE,
        "help": "Shares or counts by subject, to correlate the images' shares with.",
    },
    "column": {"help": "Column of --reference; needed only if several could be meant."},
    "value": {
        "help": "The value whose share is correlated, or compared; the first one if not given."
    },
    "table": {"type": OUTPUT, "help": "Write each subject's shares to a CSV file."},
}
_STOPPING: dict[str, Options] = {
    "until_settled": {
        "metavar": "LOW:HIGH",
        "help": "Make images of each occupation of RUN until it is settled whether its share of "
        "the female value is within LOW to HIGH, and no more.",
    },
    "max_images": {
        "type": click.IntRange(1),
        "help": "Images of a subject after which --until-settled leaves it open.  "
        f"[default: {_N_MAX}]",
    },
    "side": {
        "type": click.Choice(["base", "corrected"]),
        "help": "Model whose images --until-settled makes.  [default: corrected]",
    },
}
_POWER: dict[str, Options] = {
    "power": {
        "is_flag": True,
        "default": None,
        "help": "Only print how many images and subjects are needed, with power 0.8 at 5 %.",
    },
    "difference": {
        "type": click.FloatRange(0, 1, min_open=True),
        "help": "The difference of a share, or of MAD, that --power is to detect.",
    },
    "spread": {
        "type": click.FloatRange(0, 1),
        "help": "SD of the change over subjects; the value of --difference if not given.",
    },
}
_GATE: dict[str, Options] = {
    "fail_above": {
        "metavar": "FIGURE=NUMBER",
        "multiple": True,
        "help": "Exit with 3 if the upper confidence limit of a figure is larger, as in mad=0.15, "
        "taking images without a label at their worst; may be repeated. In a run, figures are the "
        "corrected model's.",
    },
    "fail_below": {
        "metavar": "FIGURE=NUMBER",
        "multiple": True,
        "help": "Exit with 3 if the lower confidence limit of a figure is smaller; may be "
        "repeated.",
    },
    "policy": {
        "type": FILE,
        "help": "Bounds in a TOML file: tables [fail_above] and [fail_below].",
    },
    "junit": {"type": OUTPUT, "help": "Write the verdicts to this file, as JUnit XML."},
}
_NEEDED = {
    **{"min_confidence": ("images",), "margin": ("against", "by"), "column": ("reference",)},
    **{"value": ("against", "reference")},
    **{"max_images": ("until_settled",), "side": ("until_settled",)},
    **{"difference": ("power",), "spread": ("power",), "power": ("difference",)},
}
"""Options that are of no use without another one, or one of several."""
_OF_TABLES = ("attribute", "calibration", "n_bootstrap", "seed")
_OF_IMAGES = (*_OF_TABLES, "classifier", "clip", "faces", "face_margin")
"""Settings that an audit without a run obeys."""


@click.command(cls=SettingsCommand)
@click.argument("run", required=False, type=FOLDER)
@option_group(_AUDIT | _STOPPING | _POWER | _GATE)
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
        for group in (_AUDIT, _STOPPING, _POWER, _GATE, names)
    )
    bounds = _read_bounds(gate)
    _check(run, source, stopping, power, gate, settings)
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


def _check(run: Path | None, *groups: Options) -> None:
    """Refuse options that do not go together."""
    source, stopping, power, gate, settings = groups
    chosen = {name for group in groups for name in group}
    for name, others in _NEEDED.items():
        if name in chosen and chosen.isdisjoint(others):
            raise click.UsageError(f"{_flag(name)} needs {' or '.join(map(_flag, others))}")
    if set(gate) == {"junit"}:
        raise click.UsageError("--junit reports on bounds, and none is given")
    if power:
        if run is not None or source or gate or settings:
            raise click.UsageError("--power plans an audit and looks at nothing: give it alone")
        return
    if sum(name in source for name in SOURCES) + (run is not None) != 1:
        raise click.UsageError("give RUN, or one of --images, --labels, --counts")
    if run is not None and source:
        raise click.UsageError(f"{_flag(next(iter(source)))} is for what is audited without RUN")
    if stopping and (run is None or gate or settings):
        raise click.UsageError("--until-settled needs RUN and takes its settings from there")
    if {"by", "against"} <= chosen:
        raise click.UsageError("--by compares groups of one source: leave --against out")
    obeyed = _OF_IMAGES if "images" in source else _OF_TABLES
    for name in settings if run is None else ():
        if name not in obeyed:
            whose = "--images, or RUN" if name in _OF_IMAGES else "RUN"
            raise click.UsageError(f"{_flag(name)} is for {whose}")
    if "labels" in source or "counts" in source:
        origin = click.get_current_context().get_parameter_source("device")
        if origin is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--device is for --images, or RUN")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


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
    run: Path, device: str, *, until_settled: str, max_images: int = _N_MAX, side: str = "corrected"
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
