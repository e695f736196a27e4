"""The figure of a concept: its words and targets on its axes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from figures.drawing import write_table_figure
from figures.style import (
    DARK,
    GREY,
    StyledFigure,
    colors_for,
    fitting_width,
    set_title,
    styled,
)
from probe.io.artifacts import read_table
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

CAPTION = (
    "Places of the targets on the axes of a concept, with 95 % intervals over the words that "
    "define the axes; above them those words, a tick each."
)
N_SHOWN = 30
"""Most targets on one axis; of more, the middle ones are left out."""

_NAME = 30  # letters of a target's name


def draw_concept(run: Path, stem: str) -> list[Path]:
    """Write ``run/figures/concepts/STEM`` as PDF and PNG, with its data as CSV."""
    path = Path(run) / "latent" / "concepts" / f"{stem}.parquet"
    table, made = read_table(path, kind="concept")
    target = Path(run) / "figures" / "concepts" / stem
    return write_table_figure(target, concept_places(table), table, path, made, caption=CAPTION)


@styled
def concept_places(table: DataFrame) -> Figure:
    """Draw the targets on each axis, with intervals, below the words that define it.

    A row is a word or target and an axis: ``kind`` (word, target), ``name``, ``group`` of a word,
    ``toward`` of the axis, and ``place, low, high`` (NaN where nothing can be resampled).
    """
    directions = list(dict.fromkeys(table["toward"]))
    groups = [group for group in dict.fromkeys(table["group"]) if group]
    n_rows = max(len(_shown(rows)) for _, rows in table.groupby("toward"))
    width = fitting_width(1.4 + 1.8 * len(directions))
    size = (width, 1.0 + 0.16 * (n_rows + 1.2 * len(groups)))
    figure = StyledFigure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(directions), squeeze=False)[0]
    for axes, direction in zip(panels, directions, strict=True):
        rows = table[table["toward"] == direction]
        n = _draw_targets(axes, _shown(rows))
        _draw_words(axes, rows[rows["kind"] == "word"], groups, above=n)
        axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        n_out = int((rows["kind"] == "target").sum()) - n
        label = f"place towards {direction}" + (
            f" ({n_out} in the middle left out)" if n_out else ""
        )
        axes.set(xlabel=label, ylim=(-0.8, n + len(groups) - 0.2))
    targets = table[table["kind"] == "target"]
    n_out = ((targets["low"] > 0) | (targets["high"] < 0)).sum()
    by_chance = number(0.05 * len(targets), 1)
    text = f"Intervals of {n_out} of {len(targets)} targets exclude 0"
    set_title(figure, f"{text}; {by_chance} would by chance alone")
    return figure


def _shown(rows: DataFrame) -> DataFrame:
    """The targets that are drawn, in ascending order."""
    targets = rows[rows["kind"] == "target"].sort_values("place", kind="stable")
    if len(targets) <= N_SHOWN:
        return targets
    half = N_SHOWN // 2
    return targets.iloc[[*range(half), *range(len(targets) - half, len(targets))]]


def _draw_targets(axes: Axes, rows: DataFrame) -> int:
    height = np.arange(len(rows))
    axes.hlines(height, rows["low"], rows["high"], color=GREY)
    axes.scatter(rows["place"], height, color=DARK, s=10, zorder=3)
    names = (textwrap.wrap(name, _NAME, max_lines=1, placeholder=" …")[0] for name in rows["name"])
    axes.set_yticks(height, [*names])
    return len(rows)


def _draw_words(axes: Axes, rows: DataFrame, groups: list[str], *, above: int) -> None:
    """One line a group: a tick for each of its words."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    for row, (group, color) in enumerate(colors_for(groups).items(), start=above):
        places = rows.loc[rows["group"] == group, "place"]
        axes.scatter(places, np.full(len(places), row), marker="|", s=40, color=color)
    axes.set_yticks(np.arange(above + len(groups)), [*names[:above], *groups])
