"""The correction on the laboratory models: through all text encoders, and through each alone.

For each model and each random split of the occupations, this script trains the correction of a new
run, which is of all text encoders, generates images of occupations that no training has seen, and
measures them. It writes docs/families.csv (one row a model, split and method), the table of
docs/families.md and docs/families.png. tinytown has one encoder; it is taken from docs/results.csv.

Run the same command again to resume; several processes share the work (see `results.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd
from matplotlib.figure import Figure
from results import PartBench, costs, link_images, measure, trained
from results_page import BASE, CSV, RECOMMENDED, ROOT, figure, markdown, write

from figures.style import DARK, GREY, WIDE, StyledFigure, styled
from probe.errors import BusyError
from probe.io.files import atomic
from probe.run.compare.material import FOLDER
from probe.run.compare.rows import make_row, read_row, stale_row
from probe.run.folder import locked
from probe.text.checkpoints import text_encoders

MODELS = ("tinytown-xl", "tinytown-dit")
ALL = "moesd"
PAGE, ROWS = ROOT / "docs" / "families.md", ROOT / "docs" / "families.csv"
PICTURE = ROOT / "docs" / "families.png"
BEGIN, END = "<!-- families:begin -->", "<!-- families:end -->"
CHANGES = {
    "recognised_change": "occupation recognised, change in points",
    "explicit_change": "explicit prompts followed, change in points",
    "changed": "explicit and object images that change, %",
}
HEAD = [
    *("model", "corrected through", "splits x images", "MAD, test occupations"),
    *("times the base's", *CHANGES.values()),
]


@click.command()
@click.option("--splits", default=5, show_default=True, help="Random splits of the occupations.")
@click.option("--n-images", default=40, show_default=True, help="Images of each occupation.")
@click.option("--only", multiple=True, type=click.Choice(MODELS), help="Only this model.")
@click.option("--folder", type=Path, default=Path("runs/families"), show_default=True)
@click.option("--done", is_flag=True, help="Make nothing: write what is done, and only that.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def main(
    splits: int, n_images: int, only: tuple[str, ...], folder: Path, done: bool, as_json: bool
) -> None:
    """Make and measure what is not there yet, then write rows, table and figure."""
    for model in () if done else only or MODELS:
        for split in range(1, splits + 1):
            path = folder / model / f"split-{split}-seed-0"
            try:
                with locked(path / FOLDER):
                    found = pd.DataFrame(rows(path, model, split, n_images))
            except BusyError:
                click.echo(f"{path} is made by another process; run the command again")
                continue
            with atomic(path / "rows.csv") as temporary:
                found.to_csv(temporary, index=False, float_format="%.5g")
    paths = [path for model in MODELS for path in sorted((folder / model).rglob("rows.csv"))]
    made = [pd.read_csv(path) for path in paths]
    if not made:
        raise click.UsageError(f"nothing is done in {folder} yet; leave out --done")
    table = pd.concat(made)
    with atomic(ROWS) as temporary:
        table.to_csv(temporary, index=False)
    write_page()
    if as_json:
        click.echo(table.to_json(orient="records"))


def rows(path: Path, model: str, split: int, n_images: int) -> Iterator[dict[str, object]]:
    """Train a split's correction of all encoders; measure it, and each encoder's share of it."""
    run = trained(
        path,
        split=split,
        seed=0,
        n_images=n_images,
        model=model,
        lexicon=None,
        settings=(),
        device="cpu",
    )
    whole = PartBench(run, n_images, splits=("test",))
    neutral = replace(whole, has_others=False)
    alone = [f"{ALL}-{slot}" for slot in text_encoders(run.model_folder)]
    for name in (BASE, ALL, *alone):
        bench = neutral if name in alone else whole
        if stale_row(bench, name) is not None:
            link_images(run.folder, name)
            make_row(bench, name)
        seen, base = read_row(bench, name), read_row(whole, BASE)
        found = measure(run, base.labels, seen.labels)
        click.echo(f"{model}, split {split}, {name}: MAD {found['mad_test']:.3f}", err=True)
        about = {"model": model, "split": split, "n_images": n_images, "method": name}
        yield {**about, **costs(seen), **found}


def read_rows() -> pd.DataFrame:
    """Rows of all models; ``ratio`` is the MAD as a multiple of the base model's in its split."""
    one = pd.read_csv(CSV).replace({"method": {RECOMMENDED: ALL}})
    one = one[(one["seed"] == 0) & one["method"].isin((BASE, ALL))].assign(model="tinytown")
    table = pd.concat([one, pd.read_csv(ROWS)], ignore_index=True)
    base = table[table["method"] == BASE].set_index(["model", "split"])["mad_test"]
    of_base = base.loc[pd.MultiIndex.from_frame(table[["model", "split"]])]
    return table.assign(ratio=table["mad_test"].to_numpy() / of_base.to_numpy())


def write_page() -> None:
    """Write the table and the figure from the rows alone."""
    table = read_rows()
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    lines = "\n".join(markdown([HEAD, *table_rows(table)]))
    write(PAGE, f"{before}{BEGIN}\n{lines}\n{END}{rest.split(END)[1]}")
    with atomic(PICTURE) as temporary:
        dots(table).savefig(temporary, format="png", dpi=200)


def table_rows(table: pd.DataFrame) -> Iterator[list[str]]:
    """A row a model and text encoder through which its correction acts."""
    for (model, method), rows in table.groupby(["model", "method"], sort=False):
        yield [
            f"`{model}`",
            through(str(method)),
            f"{len(rows)} x {rows['n_images'].iloc[0]}",
            figure(rows["mad_test"], 3),
            "" if method == BASE else figure(rows["ratio"], 2),
            *("" if method == BASE else figure(100 * rows[of].dropna(), 1) for of in CHANGES),
        ]


def through(method: str) -> str:
    """Say through which text encoders a correction acts."""
    return {BASE: "nothing (base)", ALL: "all"}.get(method, f"`{method.removeprefix(f'{ALL}-')}`")


@styled
def dots(table: pd.DataFrame) -> Figure:
    """Draw the MAD of each split, and its mean, by model and encoder."""
    models = list(dict.fromkeys(table["model"]))
    figure = StyledFigure(figsize=(WIDE, 2.4), layout="constrained")
    panels = figure.subplots(1, len(models), sharex=True, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        rows = table[table["model"] == model]
        names = list(dict.fromkeys(rows["method"]))
        for place, name in enumerate(names):
            values = rows[rows["method"] == name]["mad_test"]
            axes.plot(values, [place] * len(values), "o", color=GREY, ms=3, mew=0)
            axes.plot(values.mean(), place, "D", color=DARK, ms=5)
        axes.axvline(rows["floor"].mean(), color=GREY, ls="--", lw=0.8)
        axes.set_yticks(range(len(names)), [through(name).strip("`") for name in names])
        axes.set(ylim=(len(names) - 0.5, -0.5), title=model)
    panels[0].set_xlim(0, 1.05 * table["mad_test"].max())
    panels[len(panels) // 2].set_xlabel(
        "MAD on test occupations (0: even); diamonds: mean of splits"
    )
    return figure


if __name__ == "__main__":
    main()
