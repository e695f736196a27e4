"""The correction by how explicitly a prompt states the gender: in embeddings and in images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.challenge import SETS
from figures.marks import draw_values, legend_below
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import (
    DARK,
    GREY,
    HIGHLIGHT,
    OKABE_ITO,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    WIDE,
    StyledFigure,
    set_title,
    styled,
)
from probe.stats.notation import percent
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

EMBEDDING_PANELS = {
    "opened": "share of prompts corrected",
    "shift": "shift of the embedding",
    "bias_score_left": "remaining bias score (1: unchanged)",
}
PANELS = {"adherent": "requested gender shown", "mad": "MAD", "touched": "share changed"}
"""What a column of panels shows, and its label."""
TOUCHED = {
    "opened": ("prompts corrected", "o", GREY),
    "changed": ("images changed", "s", DARK),
    "relabelled": ("of these, gender changed", "^", HIGHLIGHT),
}
"""Measure, its name, marker and colour."""


@table_figure(
    "levels",
    reads=add_source("levels", path="moesd/levels.parquet"),
    caption="Effect of the correction by how explicitly a prompt states the gender: share of "
    "prompts corrected, shift, and remaining bias score. Intended at the level none (green), "
    "interference elsewhere. 95 % intervals over occupations, for two sets of templates.",
    alt="Three panels of points with intervals, two points a level.",
)
@styled
def specificity_levels(table: DataFrame) -> Figure:
    """Draw the effect of the correction by level, from the least to the most explicit."""
    figure = StyledFigure(figsize=WIDE, layout="constrained")
    panels = figure.subplots(1, len(EMBEDDING_PANELS))
    names = list(dict.fromkeys(table["level"]))
    sets = [of for of in SETS if (table["set"] == of).any()]
    for axes, (measure, label) in zip(panels, EMBEDDING_PANELS.items(), strict=True):
        rows = table[table["measure"] == measure]
        for offset, of in zip((-0.13, 0.13), sets, strict=True):
            title, marker = SETS[of]
            drawn = rows[rows["set"] == of].set_index("level").loc[names]
            at = np.arange(len(names)) + offset
            colors = [OKABE_ITO["green"] if name == "none" else GREY for name in names]
            draw_values(axes, at, drawn, color=colors, marker=marker, label=title)
        _name_levels(axes, names)
        axes.set(ylabel=label, ylim=(-0.03, None))
    panels[0].set_ylim(-0.03, 1.03)
    legend_below(figure, panels[0])
    set_title(figure, f"Prompts corrected: {_by_level(table, 'opened')}")
    return figure


@table_figure(
    "level_pictures",
    reads=add_source("level_figures", path="evaluation/level_figures.parquet"),
    caption="Images by how explicitly the prompt states the gender, base and corrected, from the "
    "same noise. Left: the requested gender is shown; both genders are requested of every "
    "occupation. Middle: unfairness, with the noise floor where no gender is stated (dotted). "
    "Right: changes by the correction, intended at the level none and interference elsewhere. 95 "
    "% intervals over occupations; where no image differs, an occupation counts as one trial.",
    alt="Three columns of panels by level, occupations trained on above others.",
)
@styled
def levels_in_pictures(table: DataFrame) -> Figure:
    """Draw fairness, adherence and changes by level, from the least to the most explicit."""
    names = list(dict.fromkeys(table["level"]))
    splits = [split for split in SPLIT_NAMES if split in set(table["split"])] or ["all"]
    figure = StyledFigure(figsize=(WIDE[0], 0.9 + 1.6 * len(splits)), layout="constrained")
    grid = figure.subplots(len(splits), len(PANELS), sharex=True, sharey="col", squeeze=False)
    for split, row in zip(splits, grid, strict=True):
        of = table[table["split"] == split]
        for panel, axes in zip(PANELS, row, strict=True):
            if panel == "touched":
                for offset, (name, style) in zip((-0.22, 0, 0.22), TOUCHED.items(), strict=True):
                    _draw(axes, of[of["measure"] == name], names, offset, *style)
            else:
                rows = of[of["measure"] == panel]
                for offset, side in zip((-0.13, 0.13), SIDE_COLORS, strict=True):
                    style = SIDE_LABELS[side], SIDE_MARKERS[side], SIDE_COLORS[side]
                    _draw(axes, rows[rows["side"] == side], names, offset, *style)
            axes.set(ylabel=PANELS[panel], ylim=(-0.03, 1.03))
        _draw_floor(row[1], of, names)
        row[0].set_title(SPLIT_NAMES.get(split, ""))
    for axes in grid[:, 1]:
        axes.set_ylim(-0.02, 0.53)
    for axes in grid[-1]:
        _name_levels(axes, names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    legend_below(figure, grid[0][0], grid[0][2])
    set_title(figure, f"Images changed: {_by_level(table, 'changed')}")
    return figure


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
    color: str,
) -> None:
    at = rows["level"].map(names.index).to_numpy(float) + offset
    draw_values(axes, at, rows, color=color, marker=marker, label=label)


def _name_levels(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")


def _draw_floor(axes: Axes, of: DataFrame, names: list[str]) -> None:
    for row in of[of["floor"].notna()].drop_duplicates("level").itertuples():
        at = names.index(row.level) + np.array([-0.4, 0.4])
        axes.plot(at, [row.floor] * 2, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
