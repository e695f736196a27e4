"""Shares of every combination of attributes, base and corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.marks import legend_below
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import SIDE_COLORS, SIDE_LABELS, SIDE_MARKERS, WIDE, StyledFigure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

# Read by the report.
add_source("intersections", path="evaluation/intersections.json", kind="study")

_ROW = 0.135  # inches
_MOST = 40  # rows that can still be read on a page


@table_figure(
    "intersections",
    reads=add_source("cells", path="evaluation/cells.parquet"),
    section="intersections",
    caption="Share of each combination of perceived attributes in the neutral images, in units of "
    "its fair share, base and corrected, with simultaneous 95 % intervals for all cells of a "
    "panel. Hollow: too few images for a conclusion. A star: the correction moves the cell "
    "further from parity.",
    alt="Dot plots of shares, one row a combination of attributes, one panel an intersection.",
)
@styled
def cell_shares(cells: DataFrame) -> Figure:
    """Draw the share of each cell in units of its fair share, base and corrected.

    The largest intersection is on the right, with at most `_MOST` rows.
    """
    sizes = cells.groupby("intersection", sort=False)["cell"].nunique().clip(upper=_MOST)
    names = list(sizes.index)
    left, right = (names[:-1], names[-1:]) if len(names) > 1 else (names, [])
    n_rows = max(sizes[left].sum() + 3 * (len(left) - 1), sizes[right].sum())
    figure = StyledFigure(figsize=(WIDE[0], 1.1 + _ROW * float(n_rows)), layout="constrained")
    grid = figure.add_gridspec(len(left), 2 if right else 1, height_ratios=sizes[left].tolist())
    panels = {name: figure.add_subplot(grid[row, 0]) for row, name in enumerate(left)}
    panels |= {name: figure.add_subplot(grid[:, 1]) for name in right}
    for name, axes in panels.items():
        _draw_cells(axes, cells[cells["intersection"] == name])
        axes.set_title(name.replace(" x ", " \N{MULTIPLICATION SIGN} "))
    for axes in [panels[left[-1]], *(panels[name] for name in right)]:
        axes.set_xlabel("share of images / fair share")
    legend_below(figure, panels[left[0]])
    return figure


def _draw_cells(axes: Axes, cells: DataFrame) -> None:
    order = list(dict.fromkeys(cells["cell"]))[:_MOST]
    places = {cell: row for row, cell in enumerate(order)}
    axes.axvline(1.0, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    for side, shift in (("base", -0.16), ("moesd", 0.16)):
        rows = cells[(cells["side"] == side) & cells["cell"].isin(order)]
        y = rows["cell"].map(places).to_numpy(float) + shift
        share, low, high = (
            (rows[name] / rows["fair"]).to_numpy() for name in ("share", "low", "high")
        )
        color, marker = SIDE_COLORS[side], SIDE_MARKERS[side]
        axes.hlines(y, low, high, color=color, linewidth=0.8)
        faces = np.where(rows["is_small"].to_numpy(bool), "white", color)
        style: dict[str, Any] = {"marker": marker, "edgecolors": color, "linewidths": 0.7}
        axes.scatter(share, y, s=11, c=faces, zorder=3, **style)
        axes.scatter([], [], s=11, c=color, label=SIDE_LABELS[side], **style)
        is_harmed = rows["is_harmed"].to_numpy(bool)
        for place in np.column_stack([high, y])[is_harmed].tolist():
            axes.annotate("*", place, xytext=(3, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(order)), order, fontsize=6.5)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(left=0)
