"""The commands that study a run, or read something out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import (
    OUTPUT,
    SettingsCommand,
    Tables,
    device_option,
    json_option,
    run_argument,
    settings_of,
)
from cli.output import echo_answer, echo_json, echo_outcome, given, open_run
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from probe.run.pipeline import Outcome


class StudyName(click.ParamType):  # type: ignore[type-arg]
    """The name of a study that is installed."""

    name = "study"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse a name that no study has."""
        from probe.run.registry import STUDIES

        if value not in STUDIES:
            self.fail(f"{value!r} is not one of {', '.join(STUDIES)}.", param, ctx)
        return value


class ProbeCommand(SettingsCommand):
    """A command whose help lists every study that is installed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line a study."""
        from probe.run.registry import pipeline, studies

        rows = []
        for study in studies():
            last = pipeline(study.requires)[-1].name
            needs = "" if last == "fit" else f" (requires `{last}`)"
            rows.append((study.name, f"{study.about[0].upper()}{study.about[1:]}{needs}."))
        with formatter.section("Studies"):
            formatter.write_dl(rows)


def _study_tables() -> Tables:
    from probe.run.registry import PROBE, settings_tables, studies

    wanted = {PROBE, *(study.name for study in studies())}
    return {name: kind for name, kind in settings_tables().items() if name in wanted}


@click.command(cls=ProbeCommand)
@run_argument
@click.option(
    "--only",
    multiple=True,
    type=StudyName(),
    help="Only this study; may be given several times. All that RUN allows if not given.",
)
@settings_of(_study_tables)
@device_option
@json_option
def probe(run: Path, only: tuple[str, ...], device: str, as_json: bool, **settings: Any) -> None:
    """Study the text encoder of RUN, and its pictures."""
    with ProgressBar() as bar:

        def show(outcome: Outcome) -> None:
            bar.clear()
            echo_outcome(outcome, as_json)

        experiment, on_outcome = open_run(run, bar, device), None if as_json else show
        outcomes = experiment.probe(*only, on_outcome=on_outcome, **given(settings))
    if as_json:
        echo_json({outcome.stage: outcome.to_json() for outcome in outcomes})


@click.command(cls=SettingsCommand)
@run_argument
@click.argument("concept")
@settings_of("probe")
@device_option
@json_option
def concept(run: Path, concept: str, device: str, as_json: bool, **settings: Any) -> None:
    """Study any concept in the vectors of RUN: its axes, and where words and targets are on them.

    CONCEPT is gender, age, skin_tone, religion, or a TOML file of your own: groups of words, and
    if you like pairs, templates and targets. Needs no model where vectors were imported.
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
@device_option
@json_option
def sweep(
    run: Path,
    axes: tuple[str, ...],
    name: str | None,
    n_images: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Train, generate and measure RUN again and again with other settings.

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
            device=device,
            progress=bar,
            on_line=None if as_json else bar.echo,
        )
        files = draw_sweep(run, result.name)
    if as_json:
        echo_json(result.to_json())
    else:
        click.echo(f"\n{result.summary()}\nfigure: {files[1]}")


@click.command()
@run_argument
@click.argument("prompt")
@click.option(
    "--share",
    is_flag=True,
    help="Also estimate the share of women from the denoiser; loads the image model.",
)
@device_option
@json_option
def inspect(run: Path, prompt: str, share: bool, device: str, as_json: bool) -> None:
    """Show what the gate of RUN does with a prompt, and why."""
    echo_answer(open_run(run, None, device).inspect(prompt, share=share), as_json)


@click.command()
@run_argument
@click.argument("file", type=OUTPUT)
@json_option
def export(run: Path, file: Path, as_json: bool) -> None:
    """Write the embeddings of RUN to FILE: .npy, .npz, .safetensors, .parquet or .jsonl."""
    echo_answer(open_run(run, None).export(file), as_json)


@click.command()
@run_argument
@json_option
def info(run: Path, as_json: bool) -> None:
    """List the stages of RUN, up to date or not, and its files with their provenance."""
    echo_answer(open_run(run, None).info(), as_json)
