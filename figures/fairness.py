"""Figures of fairness: shares by occupation, their summary, and combinations of attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.marks import legend_below, whiskers
from figures.registry import run_figure, table_figure
from figures.sources import RunFiles, add_source
from figures.style import (
    COLUMN,
    MIDDLE,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    WIDE,
    StyledFigure,
    styled,
)
from probe.audit.failures import fair_counts
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

SPLITS = {"all": "all", **SPLIT_NAMES}
"""Groups of occupations."""

# Read by the report.
add_source("intersections", path="evaluation/intersections.json", kind="study")

_ROW = 0.135  # inches
_MOST = 40  # rows that can still be read on a page


@styled
def subject_shares(
    shares: DataFrame, *, labour_shares: Mapping[str, float], value: str, target: float
) -> Figure:
    """Draw the share of one attribute value in each subject's images, base and corrected.

    Subjects are sorted by their labour share, which a tick marks; bars are 95 % intervals. The
    shaded band is the noise floor: 95 % of the shares that a fair model, with the share
    ``target``, would show with as many images. Names in italics with a star were never seen.
    """
    names = sorted(shares["subject"].unique(), key=lambda name: (labour_shares[name], name))
    height = {name: i for i, name in enumerate(names)}
    figure = StyledFigure(figsize=(MIDDLE[0], 0.9 + 0.15 * len(names)), layout="constrained")
    axes = figure.subplots()
    n_images = shares.groupby("subject")["n"].min().reindex(names).to_numpy(int)
    low, high = (limit / n_images for limit in fair_counts(n_images, target))
    edges = np.arange(len(names) + 1) - 0.5
    band: dict[str, Any] = {"step": "post", "color": "0.9", "linewidth": 0, "zorder": 0}
    low, high = (np.append(limit, limit[-1]) for limit in (low, high))
    axes.fill_betweenx(edges, low, high, label="fair within noise", **band)
    axes.axvline(target, color="0.6", linewidth=0.8, zorder=1)
    labour = [labour_shares[name] for name in names]
    tick: dict[str, Any] = {"marker": "|", "s": 26, "color": "black", "linewidth": 0.8}
    axes.scatter(labour, range(len(names)), label="labour market", zorder=2, **tick)
    for offset, (side, color) in zip((0.17, -0.17), SIDE_COLORS.items(), strict=True):
        rows = shares[shares["side"] == side]
        axes.errorbar(
            rows["share"],
            rows["subject"].map(height) + offset,
            xerr=whiskers(rows),
            fmt="o",
            markersize=3.2,
            color=color,
            markerfacecolor="white" if side == "base" else color,
            elinewidth=0.8,
            label=SIDE_LABELS[side],
            zorder=3,
        )
    unseen = set(shares.loc[shares["split"] == "test", "subject"])
    axes.set_yticks(range(len(names)), [f"{n} *" if n in unseen else n for n in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontstyle("italic" if name in unseen else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set(
        xlabel=f"share of images perceived as {value}" + (" (* never seen)" if unseen else ""),
        xlim=(-0.02, 1.02),
        ylim=(-0.7, len(names) - 0.3),
    )
    legend_below(figure, axes)
    return figure


@styled
def fairness_bars(fairness: DataFrame) -> Figure:
    """Draw MAD by split as a bar a side, with its interval and its noise floor."""
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    mad = fairness[fairness["measure"] == "mad"]
    splits = [split for split in SPLITS if (mad["split"] == split).any()]
    for i, (side, color) in enumerate(SIDE_COLORS.items()):
        rows = mad[mad["side"] == side].set_index("split").loc[splits]
        at = np.arange(len(splits)) + 0.36 * (i - 0.5)
        axes.bar(
            at,
            rows["value"],
            0.34,
            color="white" if side == "base" else color,
            edgecolor="0.3" if side == "base" else color,
            yerr=whiskers(rows, value="value"),
            error_kw={"elinewidth": 0.8, "ecolor": "0.15", "capsize": 2, "capthick": 0.8},
            label=SIDE_LABELS[side],
        )
        floor_label = "noise floor" if i else None
        axes.hlines(rows["floor"], at - 0.17, at + 0.17, color="black", label=floor_label)
    n_subjects = mad.groupby("split")["n_subjects"].max()
    labels = [f"{SPLITS[split]}\n({n_subjects[split]} occupations)" for split in splits]
    axes.set_xticks(range(len(splits)), labels)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("MAD (0 = fair)")
    legend_below(figure, axes)
    return figure


@run_figure(
    "shares",
    reads=("shares", "subjects", "quality"),
    section="fairness",
    caption="Share of images by occupation, base and corrected, with 95 % intervals. The shaded "
    "band contains 95 % of the shares of a perfectly fair model with as many images.",
    alt="Dot plot of the share for each occupation, sorted by labour share, with intervals.",
)
def _subject_shares(files: RunFiles) -> Drawing:
    quality = files.json("quality")
    table = files.table("shares")
    table = table[table["attribute"] == quality["attribute"]]
    target = 1 / table["value"].nunique()
    data = table[table["value"] == quality["value"]]
    labour = files.table("subjects").set_index("subject")["share_women"]
    data = data.assign(share_women=data["subject"].map(labour))
    data = data[data["share_women"].notna()]
    figure = subject_shares(
        data, labour_shares=labour.to_dict(), value=str(quality["value"]), target=target
    )
    return figure, data


@run_figure(
    "fairness",
    reads=("fairness",),
    section="fairness",
    caption="MAD, base and corrected, with 95 % intervals over occupations and the noise floor: "
    "the MAD of a perfectly fair model with as many images.",
    alt="Bar chart of MAD for base and corrected, by split.",
)
def _fairness(files: RunFiles) -> Drawing:
    data = files.table("fairness")
    return fairness_bars(data), data


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
