"""The command `evaluate`: the pictures of a run, or anybody's pictures, labels and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.gate import FAILED, Gate, gate_options
from cli.options import device_option, json_option, seed_option, settings_of
from cli.progress import ProgressBar
from cli.telling import echo_json, given, open_run
from probe.experiment.config import EvaluateConfig

if TYPE_CHECKING:
    from probe.experiment.auditing import Audit
    from probe.experiment.auditing.sources import Source

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SOURCES = ("images", "labels", "counts")


def audit_options(command: Command) -> Command:
    """What is audited where there is no run, and against what."""
    about = "Write each subject's shares to a CSV file."
    file = click.Path(dir_okay=False, path_type=Path)
    command = click.option("--table", type=file, help=about)(command)
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
    command = click.option("--labels", type=_FILE, help=about)(command)
    about = "Pictures whose most probable value is less probable than this count as ambiguous."
    command = click.option("--min-confidence", type=click.FloatRange(0, 1), help=about)(command)
    about = (
        "Pictures in place of RUN: a folder with metadata.jsonl, or with a sub-folder a subject. "
        "Seen by --classifier, or by --clip with --values."
    )
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.option("--images", type=folder, help=about)(command)


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@audit_options
@gate_options
@settings_of(EvaluateConfig)
@seed_option("Seed of the resamples.")
@device_option
@json_option
@click.pass_context
def evaluate(
    context: click.Context,
    /,
    run: Path | None,
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
    gate = Gate(fail_above, fail_below, policy, junit)
    settings = {name: options.pop(name) for name in (*EvaluateConfig.__dataclass_fields__,)}
    request = _Request(run, given(options), settings, device)
    said, found = request.evaluate()
    verdicts: list[str] = []
    if gate:
        verdicts, found = gate.judge(found)
    echo_json(found) if as_json else click.echo("\n".join([said, *verdicts]))
    if not all(verdict["is_kept"] for verdict in found.get("gate", ())):
        context.exit(FAILED)


@dataclass(frozen=True)
class _Request:
    """What is to be evaluated, once it is known which options go together."""

    run: Path | None
    audit: dict[str, Any]
    """Options of `audit_options` that were given."""
    settings: dict[str, Any]
    """Those of `EvaluateConfig`; None where not given."""
    device: str

    def __post_init__(self) -> None:
        named = [name for name in _SOURCES if name in self.audit]
        if len(named) + (self.run is not None) != 1:
            raise click.UsageError("give RUN, or one of --images, --labels, --counts")
        if self.run is not None and self.audit:
            name = next(iter(self.audit)).replace("_", "-")
            raise click.UsageError(f"--{name} is for what is audited without RUN")

    def evaluate(self) -> tuple[str, dict[str, Any]]:
        """What people read, and what ``--json`` prints."""
        if self.run is None:
            audit = self._audit()
            return audit.summary(), audit.to_json()
        with ProgressBar() as bar:
            outcome = open_run(self.run, bar, self.device).evaluate(**given(self.settings))
        return f"{outcome.line()}\n{outcome.result.summary()}", outcome.to_json()

    def _audit(self) -> Audit:
        from probe.experiment.auditing import AuditSettings, audit_source
        from probe.experiment.auditing.telling import write_shares

        source = self._source()
        chosen: dict[str, Any] = {
            name: str(self.audit[name])
            for name in ("target", "reference", "column", "value")
            if name in self.audit
        }
        drawn = given({name: self.settings[name] for name in ("n_bootstrap", "seed")})
        wanted = self.settings["attribute"]
        audit = audit_source(source, AuditSettings(**chosen, **drawn), attribute=wanted)
        if "table" in self.audit:
            write_shares(self.audit["table"], audit.found)
        return audit

    def _source(self) -> Source:
        from probe.experiment.auditing.sources import look_at_pictures, read_source

        named, attribute = self.audit.get("values"), self.settings["attribute"]
        values = [value.strip() for value in named.split(",")] if named else None
        if "images" not in self.audit:
            if "min_confidence" in self.audit:
                raise click.UsageError("--min-confidence is for --images")
            files = {name: self.audit.get(name) for name in ("labels", "counts")}
            return read_source(**files, attribute=attribute, values=values)
        with ProgressBar() as bar:
            return look_at_pictures(
                self.audit["images"],
                classifier=self.settings["classifier"],
                clip=self.settings["clip"],
                attribute=attribute,
                values=values,
                min_confidence=self.audit.get("min_confidence", 0.0),
                device=self.device,
                progress=bar,
            )
