"""The correction by how explicitly a prompt states the gender: in embeddings and in images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.challenge import SETS
from figures.marks import draw_values, legend_below
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import (
    COLUMN,
    DARK,
    GREY,
    OKABE_ITO,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    StyledFigure,
    set_title,
    styled,
)
from probe.stats.notation import percent
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandas import DataFrame

EMBEDDING_PANELS = {
    "opened": "share of\nprompts corrected",
    "shift": "shift of the\nembedding",
    "bias_score_left": "bias score left\n(1: unchanged)",
}
PANELS = {
    "adherent": "requested gender\nshown (share)",
    "mad": "MAD",
    "touched": "share of images\nchanged",
}
"""What a column of panels shows, and its label."""
TOUCHED = {
    "changed": ("images changed", "s", DARK),
    "relabelled": ("of these, gender changed", "^", OKABE_ITO["purple"]),
}
"""Measure, its name, marker and colour."""


@table_figure(
    "levels",
    reads=add_source("levels", path="moesd/levels.parquet"),
    caption="Effect of the correction by how explicitly a prompt states the gender: share of "
    "prompts corrected, shift, and remaining bias score. Intended at the level none (green), "
    "interference elsewhere. 95 % intervals over occupations, for two sets of templates.",
    alt="Three dot plots with intervals, one row a level, two points a row.",
)
@styled
def specificity_levels(table: DataFrame) -> Figure:
    """Draw the effect of the correction by level, from the least to the most explicit."""
    names = list(dict.fromkeys(table["level"]))
    sets = [of for of in SETS if (table["set"] == of).any()]
    figure, grid = _panels(names, list(EMBEDDING_PANELS.values()))
    for axes, measure in zip(grid[0], EMBEDDING_PANELS, strict=True):
        rows = table[table["measure"] == measure]
        for offset, of in zip((-0.13, 0.13), sets, strict=True):
            title, marker = SETS[of]
            drawn = rows[rows["set"] == of].set_index("level").loc[names].reset_index()
            colors = [OKABE_ITO["green"] if name == "none" else GREY for name in names]
            _draw(axes, drawn, names, offset, title, marker, colors)
        axes.set_xlim(left=-0.03)
    legend_below(figure, grid[0, 0])
    set_title(figure, f"Prompts corrected: {_by_level(table, 'opened')}")
    return figure


@table_figure(
    "level_images",
    reads=add_source("level_figures", path="evaluation/level_figures.parquet"),
    caption="Images by how explicitly the prompt states the gender, base and corrected, from the "
    "same noise. Left: the requested gender is shown; both genders are requested of every "
    "occupation. Middle: unfairness, with the noise floor where no gender is stated (dotted). "
    "Right: changes by the correction, intended at the level none and interference elsewhere. 95 "
    "% intervals over occupations; where no image differs, an occupation counts as one trial.",
    alt="Three columns of dot plots, one row a level, occupations trained on above others.",
)
@styled
def levels_in_pictures(table: DataFrame) -> Figure:
    """Draw fairness, adherence and changes by level, from the least to the most explicit."""
    names = list(dict.fromkeys(table["level"]))
    splits = [split for split in SPLIT_NAMES if split in set(table["split"])] or ["all"]
    titles = [SPLIT_NAMES.get(split, "") for split in splits]
    figure, grid = _panels(names, list(PANELS.values()), titles)
    for split, row in zip(splits, grid, strict=True):
        of = table[table["split"] == split]
        for panel, axes in zip(PANELS, row, strict=True):
            if panel == "touched":
                for offset, (name, style) in zip((-0.13, 0.13), TOUCHED.items(), strict=True):
                    _draw(axes, of[of["measure"] == name], names, offset, *style)
            else:
                rows = of[of["measure"] == panel]
                for offset, side in zip((-0.13, 0.13), SIDE_COLORS, strict=True):
                    style = SIDE_LABELS[side], SIDE_MARKERS[side], SIDE_COLORS[side]
                    _draw(axes, rows[rows["side"] == side], names, offset, *style)
            axes.set_xlim(-0.03, 0.53 if panel == "mad" else 1.03)
        for floor in of[of["floor"].notna()].drop_duplicates("level").itertuples():
            at = names.index(floor.level) + np.array([-0.4, 0.4])
            row[1].plot([floor.floor] * 2, at, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    legend_below(figure, grid[0, 0], grid[0, 2], n_columns=2)
    set_title(figure, f"Images changed: {_by_level(table, 'changed')}")
    return figure


def _panels(
    names: list[str], labels: list[str], titles: Sequence[str] = ("",)
) -> tuple[Figure, NDArray[Any]]:
    """Panels with a row for each level, in a column for each label and a row for each title."""
    high = 1.25 + (0.25 + 0.18 * len(names)) * len(titles)
    figure = StyledFigure(figsize=(COLUMN[0], high), layout="constrained")
    shape = (len(titles), len(labels))
    grid = figure.subplots(*shape, sharex="col", sharey=True, squeeze=False)
    for axes, title in zip(grid[:, 0], titles, strict=True):
        axes.set_title(title)
        axes.set_yticks(range(len(names)), names)
    grid[0, 0].set_ylim(len(names) - 0.5, -0.5)  # shared by all
    for axes in grid.flat:
        axes.tick_params(axis="y", length=0)
    for axes, label in zip(grid[-1], labels, strict=True):
        axes.set_xlabel(label)
    return figure, grid


def _by_level(table: DataFrame, measure: str) -> str:
    """Share where the prompt states no gender, and the largest where it does, in words."""
    rows = table[table["measure"] == measure]
    asked = rows["level"] != "none"
    none, most = rows.loc[~asked, "value"].mean(), rows.loc[asked, "value"].max()
    stated = f"at most {percent(most, 0)} where it states one"
    return f"{percent(none, 0)} where the prompt states no gender, {stated}"


def _draw(
    axes: Axes,
    rows: DataFrame,
    names: list[str],
    offset: float,
    label: str,
    marker: str,
    color: Any,
) -> None:
    at = rows["level"].map(names.index).to_numpy(float) + offset
    draw_values(axes, at, rows, color=color, marker=marker, label=label, is_horizontal=True)
