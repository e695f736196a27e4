"""The command `check`: a release gate for continuous integration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import FILE, OUTPUT, Command, json_option, option_group
from cli.output import echo, echo_json, open_run

if TYPE_CHECKING:
    from probe.audit.release_gate import Bound

FAILED = 3
"""Exit code if a bound is not kept."""
_BOUND: dict[str, Any] = {"metavar": "FIGURE=NUMBER", "multiple": True}


@click.command(cls=Command)
@click.argument(
    "source", metavar="RUN|FILE", type=click.Path(exists=True, allow_dash=True, path_type=Path)
)
@option_group(
    "Bounds",
    fail_above=_BOUND
    | {
        "help": "Fail if the upper confidence limit of a figure is larger, as in mad=0.15; may be "
        "repeated.",
    },
    fail_below=_BOUND
    | {"help": "Fail if the lower confidence limit of a figure is smaller; may be repeated."},
    policy={"type": FILE, "help": "Bounds in a TOML file: tables [fail_above] and [fail_below]."},
)
@click.option("--junit", type=OUTPUT, help="Write the verdicts to this file, as JUnit XML.")
@json_option
@click.pass_context
def check(
    context: click.Context, /, source: Path, junit: Path | None, as_json: bool, **bounds: Any
) -> None:
    """Pass or fail: test figures against bounds.

    The figures are those of RUN, which has been evaluated, or of FILE, the output of `audit --json`
    (- for standard input). In a run, they are the corrected model's. Images without a label count
    at their worst. Exits with 3 if a bound is not kept.
    """
    from probe.audit.release_gate import check_bounds, read_figures, write_junit

    wanted = _read_bounds(**bounds)
    found = open_run(source, None).figures() if source.is_dir() else read_figures(source)
    verdicts = check_bounds(found, wanted)
    name = str(found.get("source") or found.get("model"))
    if junit is not None:
        write_junit(junit, verdicts, source=name)
    n_failed = sum(not verdict.is_kept for verdict in verdicts)
    if as_json:
        gate = [asdict(verdict) for verdict in verdicts]
        echo_json({"source": name, "n_failed": n_failed, "gate": gate})
    else:
        echo("\n".join(verdict.line() for verdict in verdicts))
        kept = f"{len(verdicts) - n_failed} of {len(verdicts)} bounds are kept"
        echo(f"{'not passed' if n_failed else 'passed'}: {kept}")
    if n_failed:
        context.exit(FAILED)


def _read_bounds(
    fail_above: tuple[str, ...], fail_below: tuple[str, ...], policy: Path | None
) -> list[Bound]:
    from figures.text.terms import BOUNDED
    from probe.audit.release_gate import ABOVE, BELOW, Bound, check_names, read_policy
    from probe.errors import DataError, OptionError

    bounds = [Bound.parse(text, ABOVE) for text in fail_above]
    bounds += [Bound.parse(text, BELOW) for text in fail_below]
    try:
        bounds += read_policy(policy) if policy is not None else []
    except DataError as error:
        raise OptionError(str(error)) from error
    if not bounds:
        raise click.UsageError("give a bound with --fail-above, --fail-below or --policy")
    check_names(bounds, BOUNDED)
    return bounds
