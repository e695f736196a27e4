"""Audits of images, labels and counts without a run: their options, and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import FILE, OUTPUT, stacked
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from probe.audit.audit import Audit
    from probe.audit.sources import Source

SOURCES = ("images", "labels", "counts")
"""Options that name what is audited in place of a run."""

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ANY = click.Path(exists=True, path_type=Path)
_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    (
        "--images",
        _FOLDER,
        "Pictures in place of RUN: a folder with metadata.jsonl, or with a sub-folder a subject. "
        "Seen by --classifier, or by --clip with --values.",
    ),
    (
        "--min-confidence",
        click.FloatRange(0, 1),
        "Pictures whose most probable value is less probable than this count as ambiguous.",
    ),
    ("--labels", FILE, "Labels in place of RUN, a row a picture: subject, attributes, seed."),
    (
        "--counts",
        FILE,
        "Counts in place of RUN: by subject and value, long, wide, or Fair-Diffusion's txt.",
    ),
    ("--values", str, "All values of the attribute, as in woman,man; others are refused."),
    (
        "--target",
        str,
        "What is fair: parity, shares as in woman=0.3,man=0.7, or a table of them by subject.  "
        "[default: parity]",
    ),
    ("--against", _ANY, "A second source of the same kind, to compare the first with."),
    (
        "--margin",
        click.FloatRange(0, 1, min_open=True),
        "Largest difference of --against that does not matter.  [default: 0.05]",
    ),
    ("--reference", FILE, "Shares or counts by subject, to correlate the pictures' shares with."),
    ("--column", str, "Column of --reference; needed only if several could be meant."),
    (
        "--value",
        str,
        "The value whose share is correlated, or compared; the first one if not given.",
    ),
    (
        "--table",
        OUTPUT,
        "Write each subject's shares to a CSV file.",
    ),
)


audit_options = stacked(
    *(click.option(flag, type=kind, help=about) for flag, kind, about in _OPTIONS)
)


def audit(options: Mapping[str, Any], settings: Mapping[str, Any], device: str) -> Audit:
    """Read or classify the source, and audit it.

    Parameters
    ----------
    options : mapping of str to value
        Options of `audit_options` that were given; one of `SOURCES` is among them.
    settings : mapping of str to value
        Settings of the stage ``evaluate`` that were given.
    device : str
    """
    from probe.audit.audit import AuditSettings, audit_source

    _check(options, settings)
    kind = next(name for name in SOURCES if name in options)
    source = _source(kind, options[kind], options, settings, device)
    chosen: dict[str, Any] = {
        name: str(options[name])
        for name in ("target", "reference", "column", "value")
        if name in options
    }
    shared = ("calibration", "n_bootstrap", "seed")
    chosen |= {name: settings[name] for name in shared if name in settings}
    how = AuditSettings(**chosen)
    found = audit_source(source, how, attribute=settings.get("attribute"))
    if "against" in options:
        other = _source(kind, options["against"], options, settings, device)
        found = found.against(source, other, how, margin=options.get("margin", 0.05))
    if "table" in options:
        found.write_shares(options["table"])
    return found


def _check(options: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    if "min_confidence" in options and "images" not in options:
        raise click.UsageError("--min-confidence is for --images")
    for name in ("faces", "face_margin"):
        if name in settings and "images" not in options:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --images, or RUN")
    if "margin" in options and "against" not in options:
        raise click.UsageError("--margin is for --against")


def _source(
    kind: str,
    path: Path,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str,
) -> Source:
    from probe.audit.image_labels import label_folder
    from probe.audit.sources import read_source

    named, attribute = options.get("values"), settings.get("attribute")
    values = [value.strip() for value in named.split(",")] if named else None
    if kind != "images":
        return read_source(**{kind: path}, attribute=attribute, values=values)
    names = ("classifier", "clip", "faces", "face_margin")
    with ProgressBar() as bar:
        return label_folder(
            path,
            attribute=attribute,
            values=values,
            min_confidence=options.get("min_confidence", 0.0),
            device=device,
            progress=bar,
            **{name: settings.get(name) for name in names},
        )
