"""Options of the command `evaluate` beside its settings, in groups, and which go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.options import FILE, OUTPUT

Options = dict[str, Any]

SOURCES = ("images", "labels", "counts")
"""Options that name what is audited in place of a run."""
N_MAX = 200

AUDIT: dict[str, Options] = {
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
STOPPING: dict[str, Options] = {
    "until_settled": {
        "metavar": "LOW:HIGH",
        "help": "Make images of each occupation of RUN until it is settled whether its share of "
        "the female value is within LOW to HIGH, and no more.",
    },
    "max_images": {
        "type": click.IntRange(1),
        "help": "Images of a subject after which --until-settled leaves it open.  "
        f"[default: {N_MAX}]",
    },
    "side": {
        "type": click.Choice(["base", "corrected"]),
        "help": "Model whose images --until-settled makes.  [default: corrected]",
    },
}
POWER: dict[str, Options] = {
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
GATE: dict[str, Options] = {
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
"""Settings that an audit of images without a run uses."""


def check_options(run: Path | None, *groups: Options) -> None:
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
    used = _OF_IMAGES if "images" in source else _OF_TABLES
    for name in settings if run is None else ():
        if name not in used:
            whose = "--images, or RUN" if name in _OF_IMAGES else "RUN"
            raise click.UsageError(f"{_flag(name)} is for {whose}")
    if "labels" in source or "counts" in source:
        origin = click.get_current_context().get_parameter_source("device")
        if origin is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--device is for --images, or RUN")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
