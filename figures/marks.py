"""Marks that several figures share: prompts as points, names beside them, legends, tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from figures.style import COUNT_COLORS, HIGHLIGHT
from figures.style import points as in_points
from probe.stats.notation import number

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

    from probe.arrays import Vector

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points."""

_PLATE = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.4}
"""Behind a name, so that it reads on what it covers; an outline of its letters would be no text."""

GROUPS = ("female", "male", "neutral", "object")
"""The usual groups of prompts, in their usual order."""


def group_order(groups: Series) -> list[str]:
    """The groups present, the shipped ones first and in their usual order."""
    present = set(groups)
    return [g for g in GROUPS if g in present] + sorted(present - set(GROUPS))


def draw_values(
    axes: Axes,
    at: npt.ArrayLike,
    rows: DataFrame,
    *,
    color: Any,
    marker: str = "o",
    label: str | None = None,
    is_horizontal: bool = False,
) -> None:
    """Draw a point and an interval (``value, low, high``) at each place of one axis."""
    lines = axes.hlines if is_horizontal else axes.vlines
    lines(at, rows["low"], rows["high"], color=color)
    x, y = (rows["value"], at) if is_horizontal else (at, rows["value"])
    axes.scatter(x, y, color=color, marker=marker, s=16, label=label, zorder=3)


def draw_ends(
    axes: Axes, at: npt.ArrayLike, rows: DataFrame, *, shift: float = 0.0, **style: Any
) -> None:
    """Draw a line through values with their intervals (``value, low, high``).

    It is moved to the right by ``shift`` points, so that curves do not hide one another.
    """
    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    lower, upper = (np.column_stack([at, rows[name]]) for name in ("low", "high"))
    ends = np.stack([lower, upper], axis=1)  # (n, 2, 2)
    color = {"color": style["color"], "linewidth": 0.8, "alpha": 0.6}
    # plot() and vlines() would take what is moved for data, and widen the axes by it
    axes.add_artist(LineCollection(list(ends), transform=moved, **color))
    axes.add_artist(Line2D(at, rows["value"], markersize=3.5, transform=moved, **style))
    axes.update_datalim(ends.reshape(-1, 2))
    axes.autoscale_view()


def legend_below(figure: Figure, *panels: Axes, n_columns: int | None = None) -> None:
    """Put the legend of some panels under the whole figure, where it covers no data."""
    named: dict[str, Any] = {}
    for axes in panels:
        for drawn, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, drawn)
    legend = figure.legend(
        named.values(),
        named.keys(),
        loc="outside lower center",
        ncols=n_columns or len(named),
        columnspacing=1.0,
    )
    for handle in legend.legend_handles:
        if handle is not None and (handle.get_alpha() or 1.0) < 0.6:
            handle.set_alpha(0.6)  # pale points are many, the one in the legend is alone


def name_points(
    axes: Axes,
    points: Iterable[tuple[float, float, str]],
    *,
    others: Iterable[tuple[float, float]] = (),
    obstacles: Iterable[tuple[float, float]] = (),
) -> None:
    """Write names beside points, each at the first place where it covers nothing else.

    No name is as near to another point as to its own; one for which no place is free is left out.
    Points are (x, y, name) in data coordinates, the most important first; ``others`` have no name,
    and ``obstacles`` are what else no name may cover, such as points of a line. The limits of the
    axes must be set before.
    """
    width, height = _size_in_points(axes)
    scaled = axes.transScale.transform  # a logarithm, where the axis has one
    start, end = scaled(np.transpose([axes.get_xlim(), axes.get_ylim()]))

    def place(x: float, y: float) -> tuple[float, float]:
        at_x, at_y = (scaled((x, y)) - start) / (end - start) * (width, height)
        return float(at_x), float(at_y)

    points, size = list(points), in_points(6.5)
    dots = [place(x, y) for x, y in others] + [place(x, y) for x, y, _ in points]
    covered = dots + [place(x, y) for x, y in obstacles]
    taken = [(x - 2.0, y - 2.0, x + 2.0, y + 2.0) for x, y in covered]
    for x, y, name in points:
        at_x, at_y = place(x, y)
        long, high = 0.47 * size * len(name), size
        for right, dx, dy in (
            (1, 4, 0),
            (-1, -4, 0),
            (1, 3, 6),
            (-1, -3, 6),
            (1, 3, -6),
            (-1, -3, -6),
        ):
            left = at_x + dx - (0 if right > 0 else long)
            box = (left, at_y + dy - high / 2, left + long, at_y + dy + high / 2)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            near = _distance(box, at_x, at_y) + 2.0
            is_its_own = all(dot == (at_x, at_y) or _distance(box, *dot) > near for dot in dots)
            if inside and is_its_own and not any(_overlap(box, other) for other in taken):
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha="left" if right > 0 else "right",
                    va="center",
                    fontsize=size,
                    color="0.25",
                    bbox=_PLATE,
                )
                taken.append(box)
                break


def spread_evenly(n_items: int, n: int) -> list[int]:
    """Places of at most n of some items, evenly spaced in their order."""
    places: list[int] = np.linspace(0, n_items - 1, min(n, n_items)).round().astype(int).tolist()
    return places


def strip(order: npt.NDArray[np.integer] | int) -> Vector:
    """Offsets from -0.3 to 0.3 of the points of a strip, by their order or number: not random."""
    order = np.arange(order) if isinstance(order, int) else order
    golden = 0.6180339887498949  # the fraction whose multiples fill an interval most evenly
    offsets: Vector = 0.6 * ((order * golden) % 1.0 - 0.5)
    return offsets


def draw_heat(
    axes: Axes,
    grid: DataFrame,
    *,
    colors: Colormap,
    norm: Normalize,
    marked: Iterable[tuple[Any, Any]] = (),
    text: DataFrame | None = None,
) -> ScalarMappable:
    """Draw a table as coloured cells with their numbers, the first row at the bottom.

    A cell without a value is grey. Cells whose (row, column) is ``marked`` get a
    frame. ``text`` replaces the numbers.
    """
    import seaborn

    values = grid.to_numpy(float)
    labels = (grid.map(lambda value: number(value, 2)) if text is None else text).to_numpy()
    seaborn.heatmap(
        values,
        annot=labels,
        fmt="",
        annot_kws={"fontsize": in_points(6.5)},
        cmap=colors,
        norm=norm,
        mask=~np.isfinite(values),
        cbar=False,
        linewidths=0.8,
        ax=axes,
    )
    for label in axes.texts if colors is not COUNT_COLORS else ():  # no greys: cells keep theirs
        label.set_color("#fffffe" if label.get_color() == "w" else "#262627")
    axes.invert_yaxis()  # the first row at the bottom
    axes.set_facecolor("0.93")  # a cell without a value
    for row, column in marked:
        corner = (list(grid.columns).index(column), list(grid.index).index(row))
        frame = Rectangle(corner, 1, 1, fill=False, zorder=4, clip_on=False)
        frame.set(edgecolor=HIGHLIGHT, linewidth=1.6)
        axes.add_patch(frame)
    names = [str(name) for name in grid.columns]
    turned: dict[str, Any] = {"rotation": 0}
    if sum(map(len, names)) > 20 and max(map(len, names)) > 3:
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(names)) + 0.5, names, **turned)
    axes.set_yticks(
        np.arange(len(grid.index)) + 0.5, [str(name) for name in grid.index], rotation=0
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    mesh: ScalarMappable = axes.collections[0]
    return mesh


def _size_in_points(axes: Axes) -> tuple[float, float]:
    """Width and height of the axes before layout: the figure's, less room for the labels."""
    grid = axes.get_gridspec()
    n_rows, n_columns = (grid.nrows, grid.ncols) if grid is not None else (1, 1)
    points_a_pixel = 72 / axes.figure.dpi
    wide, high = axes.figure.bbox.width * points_a_pixel, axes.figure.bbox.height * points_a_pixel
    return wide / n_columns - 40, high / n_rows - 36


def _distance(box: Box, x: float, y: float) -> float:
    """How far a point is from a box, 0 within it."""
    return math.hypot(max(box[0] - x, x - box[2], 0.0), max(box[1] - y, y - box[3], 0.0))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
