"""Figures of fairness: shares by occupation, and of combinations of attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize

from figures.arrows import arrow_panels
from figures.marks import draw_heat, legend_below, spread_evenly
from figures.registry import run_figure, table_figure
from figures.sources import RunFiles, add_source
from figures.style import (
    COLUMN,
    EFFECT_COLORS,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    StyledFigure,
    points,
    set_title,
    styled,
)
from figures.text.terms import plural
from probe.audit.failures import fair_counts
from probe.stats.notation import percent
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

SPLITS = SPLIT_NAMES | {"validation": "for validation"}
"""Split, and what its occupations were for."""

# Read by the report.
add_source("intersections", path="evaluation/intersections.json", kind="study")

_ROW = 0.135  # inches
_MOST = 24  # rows that can be read at a glance


@styled
def subject_shares(
    shares: DataFrame, *, value: str, other: str, chance: float, n_shown: int = 0
) -> Figure:
    """Draw how the share of one attribute value moves in each subject's images, by split.

    An arrow leads from the share of the base model to that of the corrected one, whose 95 %
    interval is the pale bar; it is vermilion where the distance from the ``target`` grows. The band
    contains 95 % of the shares that a fair model would show with as many images, and ``chance`` is
    the mean distance of such a model. At 0 all images show ``other``. Of ``n_shown`` subjects, if
    given, evenly spaced in the order of their shares, those trained on and those never seen are
    beside one another.
    """
    target = float(shares["target"].iloc[0])
    base, corrected = (
        shares[shares["side"] == side].set_index(["split", "subject"]) for side in SIDE_LABELS
    )
    rows = corrected[["share", "low", "high"]].rename(columns={"share": "end"})
    rows = rows.join(base[["share", "n"]].rename(columns={"share": "start"}), how="inner")
    low, high = fair_counts(rows["n"].to_numpy(int), target)
    far = (rows[["start", "end"]] - target).abs()
    rows = rows.assign(
        chance_low=low / rows["n"],
        chance_high=high / rows["n"],
        is_worse=far["end"] > far["start"] + 1e-9,
    ).rename_axis(index={"subject": "name"})
    left_out = ["validation"] if n_shown else []  # there is room for two panels
    panels, splits = {}, [of for of in SPLITS if of in rows.index and of not in left_out]
    for split in splits:
        own = rows.loc[split].reset_index().sort_values(["start", "name"])
        shown = own.iloc[spread_evenly(len(own), n_shown // len(splits) or len(own))]
        n = f"{len(shown)} of {len(own)}" if len(shown) < len(own) else len(own)
        before, after = 100 * far.loc[split].mean()
        change = f"{before:.0f} \N{RIGHTWARDS ARROW} {after:.0f} points from even"
        noun = "occupation" if len(own) == 1 else "occupations"
        wide, narrow = f"{n} {noun} {SPLITS[split]}: {change}", f"{n} {SPLITS[split]}\n{change}"
        panels[narrow if n_shown else wide] = shown
    figure, drawn = arrow_panels(panels, worse="after, further from even", are_beside=bool(n_shown))
    bar: dict[str, Any] = {"color": SIDE_COLORS["moesd"], "alpha": 0.25, "linewidth": 4}
    drawn[0].hlines([], 0, 0, label="95 % interval", **bar)
    legend_below(figure, drawn[0], n_columns=3 if n_shown else 2)
    every = "" if n_shown else "all "  # for which narrow panels have no room
    ends = [every + plural(other), "even", every + plural(value)]
    for axes in drawn:
        axes.axvline(target, color="0.4", linewidth=0.8, zorder=0)
        axes.set_xlim(-0.05, 1.05)  # room for half a circle
        axes.set_xticks([0, target, 1], ends)
    before, after = 100 * far.mean()
    set_title(
        figure,
        f"Average distance from even: {before:.0f} points before the correction, "
        f"{after:.0f} after; by chance alone {100 * chance:.0f}",
    )
    return figure


@run_figure(
    "shares",
    reads=("shares", "quality"),
    section="fairness",
    caption="Share of each occupation's images, before the correction (circle) and after it (arrow "
    "head) with its 95 % interval over images (pale bar). The grey band contains 95 % of the "
    "shares of a fair model with as many images. Vermilion: further from even than before.",
    alt="An arrow for each occupation from its share before to its share after the correction.",
)
def _subject_shares(files: RunFiles) -> Drawing:
    data, words = _shares(files)
    return subject_shares(data, **words), data


@run_figure(
    "shares_wide",
    reads=("shares", "quality"),
    section="",
    caption="As the figure of all occupations, for twelve trained on or never seen, evenly "
    "spaced in the order of the base model's share; the numbers in the titles are of all.",
    alt="An arrow for each of twelve occupations from its share before to its share after.",
)
def _twelve_shares(files: RunFiles) -> Drawing:
    data, words = _shares(files)
    return subject_shares(data, **words, n_shown=12), data


def _shares(files: RunFiles) -> tuple[DataFrame, dict[str, Any]]:
    """Shares of one value, and what `subject_shares` has to know of them."""
    quality, table = files.json("quality"), files.table("shares")
    table = table[table["attribute"] == quality["attribute"]]
    values, value = list(dict.fromkeys(table["value"])), str(quality["value"])
    others = [name for name in values if name != value]
    other = others[0] if len(others) == 1 else "others"
    data = table[table["value"] == value].assign(target=1 / len(values))
    return data, {"value": value, "other": other, "chance": quality["base"]["mad"]["floor"]}


@table_figure(
    "intersections",
    reads=add_source("cells", path="evaluation/cells.parquet"),
    section="intersections",
    caption="Share of combinations of perceived attributes in the neutral images, in units of "
    "their fair share, base and corrected, with simultaneous 95 % intervals for all cells of a "
    "panel. Of many combinations, those furthest from the fair share. Hollow: too few images for a "
    "conclusion. A star: the correction moves the cell further from parity.",
    alt="Dot plots of shares, one row a combination of attributes, one panel an intersection.",
)
@styled
def cell_shares(cells: DataFrame) -> Figure:
    """Draw the share of each cell in units of its fair share, base and corrected.

    Of at most `_MOST` cells, divided among the intersections: those furthest from the fair share.
    """
    parts = dict(list(cells.groupby("intersection", sort=False)))
    far = (cells["share"] / cells["fair"] - 1).abs().groupby([cells["intersection"], cells["cell"]])
    far, n_most = far.max(), max(1, _MOST // len(parts))
    shown = {name: set(far[name].nlargest(n_most).index) for name in parts}
    sizes = [len(of) for of in shown.values()]
    high = 1.1 + _ROW * sum(sizes) + 0.25 * len(parts)
    figure = StyledFigure(figsize=(COLUMN[0], high), layout="constrained")
    panels = figure.subplots(len(parts), sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (name, rows) in zip(panels, parts.items(), strict=True):
        _draw_cells(axes, rows[rows["cell"].isin(shown[name])])
        n, of = len(shown[name]), rows["cell"].nunique()
        title = name.replace(" x ", " \N{MULTIPLICATION SIGN} ")
        title += f", {n} of {of} combinations" if n < of else ""
        axes.set_title(title, fontsize=points(8), loc="right")  # it may reach over the names
    panels[-1].set_xlim(0, 1.03 * (cells["high"] / cells["fair"]).max())
    panels[-1].set_xlabel("share of images / fair share")
    legend_below(figure, panels[0])
    moved = cells[cells["side"] == "moesd"]["is_harmed"]
    n = f"{moved.sum()} of {len(moved)} combinations"
    set_title(figure, f"{n} of perceived attributes move further from parity beyond chance")
    return figure


@table_figure(
    "cells",
    reads="cells",
    section="intersections",
    caption="Shares of the combinations of two perceived attributes in the neutral images, base "
    "(left) and corrected (right); the colour is the share in units of the fair share. Framed: the "
    "least share. Its interval, like all, is simultaneous: see the figure before.",
    alt="Heat maps of shares, one row a value of the first attribute, before and after.",
)
@styled
def cell_heat(cells: DataFrame) -> Figure:
    """Draw the shares where two attributes meet, base beside corrected, with the worst framed."""
    names = cells["cell"].str.split(", ", expand=True)
    pairs = cells[names.notna().sum(axis=1) == 2].assign(first=names[0], second=names[1])
    parts = list(pairs.groupby("intersection", sort=False))
    n_rows = [rows["first"].nunique() for _, rows in parts]
    size = (COLUMN[0], 0.4 + 0.75 * len(parts) + 0.22 * sum(n_rows))
    figure = StyledFigure(figsize=size, layout="constrained")
    panels = figure.subplots(len(parts), 2, squeeze=False, height_ratios=n_rows)
    for row, (name, of) in zip(panels, parts, strict=True):
        for axes, (side, label) in zip(row, SIDE_LABELS.items(), strict=True):
            rows = of[of["side"] == side]
            order = {"index": rows["first"].unique()[::-1], "columns": rows["second"].unique()}
            place = rows.set_index(["first", "second"])
            share, fair = (place[name].unstack().reindex(**order) for name in ("share", "fair"))
            worst = place[~place["is_small"]]["share"].nsmallest(1).index
            norm, text = Normalize(0, 2), share.map(lambda of: percent(of, 0))
            draw_heat(axes, share / fair, colors=EFFECT_COLORS, norm=norm, marked=worst, text=text)
            axes.set(xlabel="", ylabel="")
            axes.tick_params(labelsize=points(6.5))
            axes.set_title(label, fontsize=points(8))
        row[0].set_ylabel(name.replace(" x ", " \N{MULTIPLICATION SIGN} "))
    least = pairs[~pairs["is_small"]].groupby("side")["share"].min().reindex(list(SIDE_LABELS))
    arrow = " \N{RIGHTWARDS ARROW} "
    written = (
        arrow.join(percent(of, 1) for of in least) if least.notna().all() else "too few images"
    )
    set_title(figure, f"Least share of a combination of two perceived attributes: {written}")
    return figure


def _draw_cells(axes: Axes, cells: DataFrame) -> None:
    order = list(dict.fromkeys(cells["cell"]))
    places = {cell: row for row, cell in enumerate(order)}
    axes.axvline(1.0, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    for side, shift in (("base", -0.16), ("moesd", 0.16)):
        rows = cells[cells["side"] == side]
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
    axes.set_yticks(range(len(order)), order, fontsize=points(6.5))
    axes.set_ylim(len(order) - 0.4, -0.6)
