"""Shares that were asked for against the shares that the images show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.marks import draw_ends, legend_below
from figures.style import GREY, SIDE_COLORS, SIDE_LABELS, WIDE, StyledFigure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

TARGET = "generate.target"
"""The setting that a sweep varies, if this is its figure."""
SPLITS = {
    "trained": ("training occupations", "o", "-"),
    "held_out": ("held-out occupations", "s", "--"),
}
"""Split, its name, marker and line."""
SIDES = {"base": "base", "corrected": "moesd"}
"""What the table of a sweep calls a side, and its key in `figures.style`."""
SHIFTS = {
    **{("base", "trained"): -2.4, ("base", "held_out"): -0.8},
    **{("moesd", "trained"): 0.8, ("moesd", "held_out"): 2.4},
}
"""Points by which what belongs to one place is moved apart, so that no interval hides another."""


@styled
def target_curve(table: DataFrame) -> Figure:
    """Draw the shares in the pictures against those asked for, and how far each one is from them.

    Left: the mean share over the occupations; on the diagonal it is met. Right: the mean distance
    of an occupation's share from what is asked of it; dotted is what a model that meets it would
    score by chance at as many pictures. With 95 % intervals over occupations.

    Parameters
    ----------
    table : DataFrame
        One row a variant, side and figure, as `probe.run.sweep.Sweep` writes it for a
        sweep of `TARGET`.
    """
    figure = StyledFigure(figsize=WIDE, layout="constrained")
    left, right = figure.subplots(1, 2)
    for side, key in SIDES.items():
        own = table[table["side"] == side]
        for split, (label, marker, line) in SPLITS.items():
            style = {"color": SIDE_COLORS[key], "marker": marker, "linestyle": line}
            style |= {"markerfacecolor": "white"} if side == "base" else {}
            style["label"] = f"{SIDE_LABELS[key]}, {label}"
            for axes, name in ((left, "share"), (right, "off_target")):
                rows = own[own["figure"] == f"{name}_{split}"].sort_values("asked", kind="stable")
                at = rows["asked"].to_numpy(float)
                draw_ends(axes, at, rows, shift=SHIFTS[key, split], **style)
    left.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0, label="as asked")
    floor = table[(table["figure"] == "off_target") & (table["side"] == "base")]
    floor = floor.sort_values("asked", kind="stable")
    name = "a model that meets it, by chance"
    right.plot(floor["asked"], floor["floor"], color=GREY, linewidth=0.8, linestyle=":", label=name)
    for axes in (left, right):
        axes.set(xlabel="share asked for", xlim=(-0.03, 1.03))
    left.set(ylabel="share in the pictures", ylim=(-0.03, 1.03))
    right.set(ylabel="distance from what is asked")
    right.set_ylim(0, None)
    legend_below(figure, left, right, n_columns=3)
    return figure
