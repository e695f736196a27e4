"""The command `compare`: methods on one bench, and runs on the same subjects."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import device_option, json_option, run_argument
from cli.output import echo_json, echo_outcome, open_run
from cli.progress import ProgressBar
from probe.stats.resampling import Resampling


class MethodsCommand(click.Command):
    """A command whose help lists every method that is installed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the methods, and what their endings mean."""
        from probe.run.compare.methods import all_methods

        with formatter.section("Methods"):
            formatter.write_text(", ".join(all_methods()))
            formatter.write_paragraph()
            formatter.write_text(
                "moesd is the correction of RUN; moesd-text, -unet and -both have experts there; "
                "-calibrated and -stratified are routings. -lookup corrects only prompts that name "
                "an occupation and no gender. explicit-mixing is the oracle."
            )


@click.group()
def compare() -> None:
    """Compare methods on one run, or runs with each other."""


@compare.command(cls=MethodsCommand)
@run_argument
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only this method, beside the base; may be given several times. All if not given.",
)
@click.option(
    "--n-images",
    type=click.IntRange(2),
    help="Pictures of each occupation and method; as many as `generate` makes if not given.",
)
@device_option
@json_option
def methods(
    run: Path, only: tuple[str, ...], n_images: int | None, device: str, as_json: bool
) -> None:
    """Compare MoESD with other methods on the prompts and seeds of RUN.

    Images go to RUN/comparison/NAME, each made once. Requires `train`.
    """
    from figures.drawing import draw

    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).compare(
            *only, n_images=n_images, draw=draw, on_line=None if as_json else bar.echo
        )
    echo_outcome(outcome, as_json)


@compare.command()
@click.argument(
    "runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path)
)
@click.option(
    "--n-bootstrap",
    default=2000,
    show_default=True,
    type=click.IntRange(1),
    help="Resamples behind each interval.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Seed of the resamples.",
)
@json_option
def runs(runs: tuple[Path, ...], n_bootstrap: int, seed: int, as_json: bool) -> None:
    """Compare the fairness of runs that have been evaluated, on the subjects that they share.

    Paired differences of MAD for each pair of runs, with intervals, p-values and Holm's
    adjustment over all of them. Subjects that are missing in a run are left out, and named.
    """
    from figures.text.tables import runs_table
    from probe.run.compare.runs import compare_runs

    found = compare_runs(runs, resampling=Resampling(n_bootstrap, seed))
    echo_json(found) if as_json else click.echo(runs_table(found))
