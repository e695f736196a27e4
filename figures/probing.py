"""Figures of the studies of a text encoder: axes, associations, erasers, foretold shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.marks import group_order, legend_below, name_points, signed
from figures.style import (
    COLUMN,
    COUNT_COLORS,
    GREY,
    GROUP_LINES,
    MIDDLE,
    OKABE_ITO,
    WIDE,
    StyledFigure,
    colors_for,
    points,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PROBES = {
    "linear": ("gender, linear probe", "o", OKABE_ITO["vermillion"]),
    "nearest": ("gender, nearest neighbour", "s", OKABE_ITO["orange"]),
    "clusters_accuracy": ("lean of neutral prompts, clusters", "D", OKABE_ITO["purple"]),
    "kept_occupation": ("occupation, linear probe", "^", OKABE_ITO["blue"]),
}
"""Column of an accuracy, its name, marker and colour; the first three should fall to chance."""
UNITS = {
    "pair": (OKABE_ITO["blue"], "o"),
    "template": (OKABE_ITO["orange"], "s"),
    "occupation": (GREY, "^"),
}
"""Colour and marker of what is drawn anew."""


@styled
def estimator_agreement(table: DataFrame) -> Figure:
    """Draw how far each estimator's axis moves, and how the axes agree.

    Left: degrees between the axis and those of resampled occupations, median and 95 %. Right:
    cosines between the axes of all estimators.

    Parameters
    ----------
    table : DataFrame
        One row an estimator: ``estimator, angle_median, angle_high`` in degrees, and a column
        ``cosine_NAME`` for each estimator.
    """
    names = table["estimator"].tolist()
    figure = StyledFigure(figsize=WIDE, layout="constrained")
    left, right = figure.subplots(1, 2)
    height = np.arange(len(names))
    left.hlines(height, table["angle_median"], table["angle_high"], color=GREY)
    left.scatter(table["angle_median"], height, color=OKABE_ITO["blue"], zorder=3, label="median")
    left.scatter(table["angle_high"], height, color=GREY, marker="|", label="95 % below")
    left.set(yticks=height, yticklabels=names, xlabel="degrees from the axis of all occupations")
    left.set_xlim(left=0)
    left.invert_yaxis()
    legend_below(figure, left)
    cosines = table[[f"cosine_{name}" for name in names]].to_numpy(float)
    right.imshow(np.abs(cosines), cmap=COUNT_COLORS, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(cosines):
        color = "white" if abs(value) > 0.6 else "black"
        right.text(
            column, row, signed(value), ha="center", va="center", fontsize=points(7), color=color
        )
    right.set(xticks=height, yticks=height, xticklabels=names, yticklabels=names)
    right.set_title("cosine of the axes")
    right.spines[:].set_visible(False)
    return figure


@styled
def axis_stability(table: DataFrame) -> Figure:
    """Draw how alike the axes of two disjoint sets are, against the size of the sets.

    Parameters
    ----------
    table : DataFrame
        Columns ``unit`` (pair, template, occupation), ``n_units``, ``cosine``, ``low``, ``high``.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    for unit, rows in table.groupby("unit", sort=False):
        color, marker = UNITS.get(str(unit), (OKABE_ITO["black"], "D"))
        axes.fill_between(rows["n_units"], rows["low"], rows["high"], color=color, alpha=0.15)
        axes.plot(
            rows["n_units"], rows["cosine"], marker=marker, markersize=3.5, color=color, label=unit
        )
    axes.axhline(1.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="number in each set", ylabel="cosine of two axes")
    legend_below(figure, axes)
    return figure


@styled
def association_measures(table: DataFrame) -> Figure:
    """Draw each measure with its interval, one panel a measure, for their units differ.

    Parameters
    ----------
    table : DataFrame
        Columns ``measure``, ``value``, ``low``, ``high``, ``p_holm``, ``n``.
    """
    figure = StyledFigure(figsize=(WIDE[0], 1.9), layout="constrained")
    panels = figure.subplots(1, len(table), squeeze=False)[0]
    for axes, row in zip(panels, table.itertuples(), strict=True):
        axes.errorbar(
            [row.value],
            [0],
            xerr=[[row.value - row.low], [row.high - row.value]],
            fmt="o",
            color=OKABE_ITO["blue"],
            capsize=2,
        )
        axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        axes.margins(x=0.15)
        axes.set(yticks=[], xlabel=f"n = {row.n}")
        p = "< 0.001" if row.p_holm < 0.001 else f"= {row.p_holm:.3f}"
        axes.set_title(f"{row.measure}, p {p}")
        axes.spines["left"].set_visible(False)
    return figure


@styled
def erasers(table: DataFrame) -> Figure:
    """Draw what each eraser leaves of gender, and what it keeps of the occupation.

    Parameters
    ----------
    table : DataFrame
        As from `probe.latent.erasure.evaluation.erasure_table`, with the columns
        ``clusters_accuracy, clusters_low, clusters_high``.
    """
    figure = StyledFigure(figsize=(MIDDLE[0], 1.2 + 0.32 * len(table)), layout="constrained")
    axes = figure.subplots()
    shift = np.linspace(-0.24, 0.24, len(PROBES))
    for (column, (label, marker, color)), offset in zip(PROBES.items(), shift, strict=True):
        stem = column.removesuffix("_accuracy")
        height = np.arange(len(table)) + offset
        axes.hlines(height, table[f"{stem}_low"], table[f"{stem}_high"], color=color, alpha=0.6)
        axes.scatter(table[column], height, color=color, marker=marker, s=16, label=label, zorder=3)
    axes.axvline(float(table["chance"].iloc[0]), color="0.6", linestyle="--", linewidth=0.8)
    axes.set(
        yticks=np.arange(len(table)),
        yticklabels=table["eraser"],
        xlabel="accuracy (dashed: chance for gender)",
        xlim=(-0.02, 1.02),
    )
    axes.invert_yaxis()
    legend_below(figure, axes, n_columns=2)
    return figure


@styled
def foretold_shares(table: DataFrame) -> Figure:
    """Draw the share of women in the pictures against what the text alone foretold.

    Parameters
    ----------
    table : DataFrame
        One row an occupation: ``subject, split, share, predicted, low, high``.
    """
    figure = StyledFigure(figsize=(COLUMN[0], COLUMN[0]), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
    for split, color, label in (
        ("trained", GREY, "learnt from"),
        ("held_out", OKABE_ITO["green"], "held out"),
    ):
        rows = table[table["split"] == split]
        if split == "held_out":
            axes.vlines(rows["predicted"], rows["low"], rows["high"], color=color, alpha=0.4)
        axes.scatter(
            rows["predicted"],
            rows["share"],
            color="white" if split == "held_out" else color,
            edgecolor=color,
            s=14,
            label=label,
            zorder=3,
        )
    missing = table[table["split"] == "held_out"]
    axes.set(
        xlabel="share of women foretold from the text",
        ylabel="share of women in the pictures",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
    )
    name_points(
        axes,
        missing[["predicted", "share", "subject"]].itertuples(index=False),
        obstacles=_along(missing, "predicted")
        + table[["predicted", "share"]].to_numpy(float).tolist(),
    )
    legend_below(figure, axes)
    return figure


@styled
def read_shares(table: DataFrame) -> Figure:
    """Draw the share of women in the pictures against the one read off the denoiser.

    Parameters
    ----------
    table : DataFrame
        One row an occupation: ``subject, split, share, low, high, read``.
    """
    figure = StyledFigure(figsize=(COLUMN[0], COLUMN[0]), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
    for split, color, label in (
        ("trained", GREY, "training occupations"),
        ("held_out", OKABE_ITO["green"], "held out"),
    ):
        rows = table[table["split"] == split]
        axes.vlines(rows["read"], rows["low"], rows["high"], color=color, alpha=0.4)
        face = "white" if split == "held_out" else color
        axes.scatter(
            rows["read"], rows["share"], color=face, edgecolor=color, s=14, label=label, zorder=3
        )
    axes.set(
        xlabel="share of women read off the denoiser",
        ylabel="share of women in the pictures",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
    )
    name_points(
        axes,
        table[["read", "share", "subject"]].itertuples(index=False),
        obstacles=_along(table, "read"),
    )
    legend_below(figure, axes)
    return figure


@styled
def group_densities(table: DataFrame) -> Figure:
    """Draw where each group of prompts is dense on the maps, as contours of half and a tenth.

    A contour holds the places whose density is at least that share of the group's peak.

    Parameters
    ----------
    table : DataFrame
        As from `probe.latent.maps.density.group_density`, with a column ``method``.
    """
    methods = table["method"].unique()
    figure = StyledFigure(figsize=WIDE if len(methods) > 1 else COLUMN, layout="constrained")
    panels = figure.subplots(1, len(methods), squeeze=False)[0]
    groups = group_order(table["group"])
    for axes, method in zip(panels, methods, strict=True):
        for group, color in colors_for(groups).items():
            rows = table[(table["method"] == method) & (table["group"] == group)]
            grid = rows.pivot(index="y", columns="x", values="density")
            peak = float(grid.to_numpy().max())
            axes.contourf(
                *(grid.columns, grid.index, grid),
                levels=[0.1 * peak, 0.5 * peak, peak],
                colors=[color],
                alpha=0.25,
            )
            axes.contour(
                *(grid.columns, grid.index, grid),
                levels=[0.1 * peak, 0.5 * peak],
                colors=[color],
                linestyles=[GROUP_LINES.get(group, "-")],
                linewidths=0.8,
            )
        axes.set(title=method.upper(), xticks=[], yticks=[])
    for group, color in colors_for(groups).items():
        panels[0].plot([], [], color=color, linestyle=GROUP_LINES.get(group, "-"), label=group)
    legend_below(figure, panels[0])
    return figure


def _along(rows: DataFrame, x: str) -> list[tuple[float, float]]:
    """Points along the intervals that stand at a column's places, which no name may cover."""
    parts = np.linspace(0.0, 1.0, 40)
    return [
        (at, low + part * (high - low))
        for at, low, high in rows[[x, "low", "high"]].itertuples(index=False)
        for part in parts
    ]
