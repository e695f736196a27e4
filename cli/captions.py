"""The command about captions: who is in them."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import json_option
from cli.output import echo_json


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", help="Column that holds the captions; needed only if several could.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV to write: each caption, its category, and the words that decided.",
)
@click.option(
    "--counterfactuals",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV to write: each caption that says a gender, with the other gender, and with none.",
)
@json_option
def prompts(
    file: Path, column: str | None, out: Path | None, counterfactuals: Path | None, as_json: bool
) -> None:
    """Say who is in the captions of FILE: men, women, both, people, nobody.

    FILE is txt, csv, tsv, jsonl or parquet, or in the layout of LAION, OpenImages (narratives),
    Flickr or COCO. Needs no run and no model: the words decide, and are shown. In CSV that is
    written, a cell that begins with = + - @ gets an apostrophe before it, so that no spreadsheet
    runs it as a formula.
    """
    from probe.text.captions.classification import audit_captions

    audit = audit_captions(file, column=column, out=out, counterfactuals=counterfactuals)
    if as_json:
        echo_json(audit.to_json())
        return
    click.echo(audit.summary())
    if out is not None:
        click.echo(f"{out}: {len(audit):,} rows")
    if audit.counterfactuals is not None:
        click.echo(
            f"{counterfactuals}: {audit.counterfactuals['n']:,} rows; "
            f"{audit.counterfactuals['n_without_swap']:,} without the other gender, "
            f"{audit.counterfactuals['n_without_neutral']:,} without a neutral form"
        )
