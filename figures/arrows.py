"""Arrows from before to after the correction, one row an occupation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.style import COLUMN, GREY, HIGHLIGHT, SIDE_COLORS, StyledFigure, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_ROW, _LARGEST = 0.135, 7.5
"""Height of a row, and of all rows at most, in inches."""
_LETTERS, _FEWER = 24, 19
"""Of a name at most, and where panels are beside one another."""
_NAME = 0.1
"""Height of a name in inches; where rows are lower, only names that fit are written."""


def arrow_panels(
    panels: Mapping[str, DataFrame], *, worse: str, are_beside: bool = False
) -> tuple[Figure, list[Axes]]:
    """Draw a panel of arrows for each title, below or beside one another.

    A row has ``name, start, end``, whether it ``is_worse``, which colours it, and may have ``low,
    high`` of its end, a pale bar, and ``chance_low, chance_high``, the band behind it. Rows are
    drawn in ascending order of ``start``; ``worse`` explains the colour in the legend, which is
    for the caller to place.
    """
    sizes = [len(rows) for rows in panels.values()]
    n_rows = max(sizes) if are_beside else sum(sizes)
    row = min(_ROW, _LARGEST / n_rows)
    high = 1.25 + row * n_rows + 0.22 * len(sizes)
    figure = StyledFigure(figsize=(COLUMN[0], high), layout="constrained")
    shape = (1, len(sizes)) if are_beside else (len(sizes), 1)
    ratios = None if are_beside else sizes
    grid = figure.subplots(*shape, sharex=True, squeeze=False, height_ratios=ratios)
    drawn = list(grid.flat)
    for axes, (title, rows) in zip(drawn, panels.items(), strict=True):
        rows = rows.sort_values(["start", "name"], ignore_index=True)
        _draw_rows(axes, rows, row)
        _write_names(axes, rows, row, _FEWER if are_beside else _LETTERS)
        axes.set_ylim((n_rows if are_beside else len(rows)) - 0.5, -0.5)
        axes.set_title(title, fontsize=points(8), loc="right")  # it may reach over the names
    axes = drawn[0]
    for label, marker, color, face in (
        ("before", "o", GREY, "white"),
        ("after", ">", SIDE_COLORS["moesd"], SIDE_COLORS["moesd"]),
        (worse, ">", HIGHLIGHT, HIGHLIGHT),
    ):
        if label != worse or any(rows["is_worse"].any() for rows in panels.values()):
            axes.scatter([], [], s=12, marker=marker, color=face, edgecolor=color, label=label)
    return figure, drawn


def _draw_rows(axes: Axes, rows: DataFrame, row: float) -> None:
    at = np.arange(len(rows))
    for stripe in at[1::2]:
        axes.axhspan(stripe - 0.5, stripe + 0.5, color="0.95", linewidth=0, zorder=-2)
    if "chance_low" in rows:
        edges = np.arange(len(rows) + 1) - 0.5
        limits = (
            np.append(rows[name], rows[name].iloc[-1]) for name in ("chance_low", "chance_high")
        )
        band = {"step": "post", "color": "0.8", "alpha": 0.5, "linewidth": 0, "zorder": -1}
        axes.fill_betweenx(edges, *limits, label="fair, by chance", **band)
    size = min(1.0, row / 0.11)  # of marks
    turned = np.sign(rows["end"] - rows["start"])
    for is_worse, color in ((False, SIDE_COLORS["moesd"]), (True, HIGHLIGHT)):
        own = rows["is_worse"] == is_worse
        of, y = rows[own], at[own]
        if "low" in rows:
            axes.hlines(y, of["low"], of["high"], color=color, alpha=0.25, linewidth=4 * size)
        axes.hlines(y, of["start"], of["end"], color=color, linewidth=1.2 * size)
        for sign, marker in ((-1, "<"), (0, "o"), (1, ">")):
            is_so = (turned[own] == sign).to_numpy()
            axes.scatter(of["end"][is_so], y[is_so], s=16 * size**2, marker=marker, color=color)
    before = {"color": "white", "edgecolor": GREY, "linewidth": 0.8, "zorder": 3}
    axes.scatter(rows["start"], at, s=13 * size**2, **before)


def _write_names(axes: Axes, rows: DataFrame, row: float, letters: int) -> None:
    """Write the names of the rows: of all, or of those that got worse and those that moved most."""
    shown: list[int] = []
    order = np.lexsort([-(rows["end"] - rows["start"]).abs(), ~rows["is_worse"].astype(bool)])
    for place in order.tolist():
        if all(abs(place - other) * row >= _NAME for other in shown):
            shown.append(place)
    full = rows["name"].iloc[shown]
    cut = full.str[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"
    names = full.where(full.str.len() <= letters, cut)
    largest = 7.5 if letters == _LETTERS else 6.5
    axes.set_yticks(shown, names, fontsize=points(min(largest, max(6.5, 56 * row))))
    for label, place in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(HIGHLIGHT if rows["is_worse"].iloc[place] else "black")
    axes.tick_params(axis="y", length=0)
