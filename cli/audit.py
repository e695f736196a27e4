"""Audits on the command line: which options name a source, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.output import given
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from probe.audit.audit import Audit
    from probe.audit.sources import Source

Command = TypeVar("Command", bound=Callable[..., Any])

SOURCES = ("images", "labels", "counts")
"""Options that name what is audited in place of a run."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
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
    ("--labels", _FILE, "Labels in place of RUN, a row a picture: subject, attributes, seed."),
    (
        "--counts",
        _FILE,
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
    ("--reference", _FILE, "Shares or counts by subject, to correlate the pictures' shares with."),
    ("--column", str, "Column of --reference; needed only if several could be meant."),
    (
        "--value",
        str,
        "The value whose share is correlated, or compared; the first one if not given.",
    ),
    (
        "--table",
        click.Path(dir_okay=False, path_type=Path),
        "Write each subject's shares to a CSV file.",
    ),
)


def audit_options(command: Command) -> Command:
    """What is audited where there is no run, and against what."""
    for flag, kind, about in reversed(_OPTIONS):
        command = click.option(flag, type=kind, help=about)(command)
    return command


@dataclass(frozen=True)
class AuditRequest:
    """An audit that was asked for."""

    options: dict[str, Any]
    """Options of `audit_options` that were given; one of `SOURCES` is among them."""
    settings: dict[str, Any]
    """Those of `EvaluateConfig`; None where not given."""
    device: str

    def __post_init__(self) -> None:
        if "min_confidence" in self.options and "images" not in self.options:
            raise click.UsageError("--min-confidence is for --images")
        for name in ("faces", "face_margin"):
            if self.settings[name] is not None and "images" not in self.options:
                raise click.UsageError(f"--{name.replace('_', '-')} is for --images, or RUN")
        if "margin" in self.options and "against" not in self.options:
            raise click.UsageError("--margin is for --against")

    def audit(self) -> Audit:
        """Read or look at the source, and audit it."""
        from probe.audit.audit import AuditSettings, audit_source
        from probe.audit.share_file import write_shares

        kind = next(name for name in SOURCES if name in self.options)
        source = self._source(kind, self.options[kind])
        chosen: dict[str, Any] = {
            name: str(self.options[name])
            for name in ("target", "reference", "column", "value")
            if name in self.options
        }
        if (sample := self.settings["calibration"]) is not None:
            chosen["calibration"] = sample
        drawn = given({name: self.settings[name] for name in ("n_bootstrap", "seed")})
        settings, wanted = AuditSettings(**chosen, **drawn), self.settings["attribute"]
        audit = audit_source(source, settings, attribute=wanted)
        if "against" in self.options:
            other = self._source(kind, self.options["against"])
            audit = audit.against(source, other, settings, margin=self.options.get("margin", 0.05))
        if "table" in self.options:
            write_shares(self.options["table"], audit.found)
        return audit

    def _source(self, kind: str, path: Path) -> Source:
        from probe.audit.sources import look_at_pictures, read_source

        named, attribute = self.options.get("values"), self.settings["attribute"]
        values = [value.strip() for value in named.split(",")] if named else None
        if kind != "images":
            return read_source(**{kind: path}, attribute=attribute, values=values)
        with ProgressBar() as bar:
            return look_at_pictures(
                path,
                classifier=self.settings["classifier"],
                clip=self.settings["clip"],
                attribute=attribute,
                values=values,
                min_confidence=self.options.get("min_confidence", 0.0),
                faces=self.settings["faces"],
                face_margin=self.settings["face_margin"],
                device=self.device,
                progress=bar,
            )
