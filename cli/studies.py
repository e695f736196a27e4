"""The commands that study a run, repeat it with other settings, and compare runs and methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.help import ADVANCED
from cli.options import (
    Command,
    SettingsCommand,
    Tables,
    device_option,
    execution_options,
    json_option,
    run_argument,
    settings_of,
)
from cli.output import (
    ProgressBar,
    echo,
    echo_answer,
    echo_json,
    echo_outcome,
    given,
    open_run,
    take_executor,
)

if TYPE_CHECKING:
    from probe.run.pipeline import Outcome


class StudyCommand(SettingsCommand):
    """A command whose help names every study that is installed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names."""
        formatter.write_paragraph()
        formatter.write_text(f"Studies: {', '.join(_complete(ctx, None, ''))}.")


def _complete(context: click.Context, param: click.Parameter | None, incomplete: str) -> list[str]:
    from probe.run.registry import studies

    return [study.name for study in studies() if study.name.startswith(incomplete)]


def _study_tables() -> Tables:
    from probe.run.registry import STUDY, settings_tables, studies

    wanted = {STUDY, *(study.name for study in studies())}
    return {name: kind for name, kind in settings_tables().items() if name in wanted}


@click.command(cls=StudyCommand)
@run_argument
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_complete)
@click.option(
    "--list",
    "is_list",
    is_flag=True,
    help="Only list the studies: what each needs, how long it takes, and whether it is done.",
)
@settings_of(_study_tables, groups={ADVANCED: ("n_bootstrap", "seed")})
@execution_options
@json_option
def study(
    run: Path, names: tuple[str, ...], is_list: bool, device: str, as_json: bool, **settings: Any
) -> None:
    """Study RUN: axes, layers, tokens, maps, predictions, hard prompts.

    NAME is a study of `study RUN --list`; without a name, all that RUN allows are done.
    """
    if is_list:
        echo_answer(open_run(run, None).list_studies(), as_json)
        return
    with ProgressBar() as bar:

        def show(outcome: Outcome) -> None:
            bar.clear()
            echo_outcome(outcome, as_json)

        experiment = open_run(run, bar, device, settings)
        on_outcome = None if as_json else show
        outcomes = experiment.study(*names, on_outcome=on_outcome, **given(settings))
    if as_json:
        echo_json({outcome.stage: outcome.to_json() for outcome in outcomes})


@click.command(cls=SettingsCommand)
@run_argument
@click.argument("concept")
@settings_of("study", groups={ADVANCED: ("n_bootstrap", "seed")})
@device_option
@json_option
def concept(run: Path, concept: str, device: str, as_json: bool, **settings: Any) -> None:
    """Study any concept in RUN: age, religion, or one of your own.

    Its axes in the vectors of RUN, and where words and targets are on them. CONCEPT is gender, age,
    skin_tone, religion, or a TOML file of your own: groups of words, and if you like pairs,
    templates and targets. Needs no model where vectors were imported.
    """
    from figures.concept import draw_concept

    with ProgressBar() as bar:
        outcome = open_run(run, bar, device).concept(concept, draw_concept, **given(settings))
    echo_outcome(outcome, as_json)


@click.command(cls=SettingsCommand)
@run_argument
@click.option(
    "--over",
    "axes",
    multiple=True,
    required=True,
    metavar="STAGE.SETTING=VALUE,...",
    help="What varies, e.g. train.width=8,16,32; several give every combination.",
)
@click.option("--name", help="Name of the sweep; the settings' names if not given.")
@settings_of("generate", only=["n_images"])
@click.option(
    "--test",
    "on_test",
    is_flag=True,
    help="Measure on occupations for testing, too: not to choose a setting by.",
)
@execution_options
@json_option
def sweep(
    run: Path,
    axes: tuple[str, ...],
    name: str | None,
    n_images: int | None,
    on_test: bool,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and measure RUN again with other settings.

    Figures are of validation occupations, which settings may be chosen by.

    Every variant is a run of its own in RUN/sweeps/NAME, which begins with what RUN has made, so
    that nothing is made twice. Seeds (train.seed=1,2,3), data sizes (train.n_examples=50,150,500),
    adapters (train.width=8,16,32) and guidance (generate.guidance_scale=1,3,7.5) are swept alike.
    """
    from figures.sweep import draw_sweep
    from probe.run.sweep import parse_axes, run_sweep

    with ProgressBar() as bar:
        result = run_sweep(
            run,
            parse_axes(axes),
            name=name,
            n_images=n_images,
            on_test=on_test,
            device=device,
            executor=take_executor(options, device),
            progress=bar,
            on_line=None if as_json else bar.echo,
        )
        files = draw_sweep(run, result.name)
    if as_json:
        echo_json(result.to_json())
    else:
        echo(f"\n{result.summary()}\nfigure: {files[1]}")


@click.group()
def compare() -> None:
    """Compare methods on one run, or runs with each other."""


@compare.command(cls=Command)
@run_argument
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only this method, beside the base; may be given several times. All if not given. The "
    "message about an unknown name lists all names.",
)
@click.option(
    "--n-images",
    type=click.IntRange(2),
    help="Images of each occupation and method; as many as `generate` makes if not given.",
)
@execution_options
@json_option
def methods(
    run: Path,
    only: tuple[str, ...],
    n_images: int | None,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare MoESD with other methods on the prompts and seeds of RUN.

    Images go to RUN/comparison/NAME, each made once. Requires `train`. moesd is the correction of
    RUN; moesd-recommended and -paper are the recipes, -noise and -paper-teacher each with the
    other's loss; -calibrated has another routing. -lookup corrects only prompts that name an
    occupation and no gender. explicit-mixing is the oracle.
    """
    from figures.drawing import draw
    from figures.text.methods import methods_table

    with ProgressBar() as bar:
        outcome = open_run(run, bar, device, options).compare(
            *only, n_images=n_images, draw=draw, on_line=None if as_json else bar.echo
        )
    found = outcome.to_json()
    echo_json(found) if as_json else echo(f"{outcome.line()}\n{methods_table(found)}")


@compare.command(cls=Command)
@click.argument(
    "runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path)
)
@json_option
def runs(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare the fairness of runs that have been evaluated, on the subjects that they share.

    Paired differences of MAD for each pair of runs, with intervals, p-values and Holm's
    adjustment over all of them. Subjects that are missing in a run are left out, and named.
    """
    from figures.text.tables import runs_table
    from probe.run.compare.runs import compare_runs

    found = compare_runs(runs)
    echo_json(found) if as_json else echo(runs_table(found))
