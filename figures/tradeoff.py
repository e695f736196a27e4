"""The trade-off of unfairness against CLIP score, base and corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.marks import legend_below, whiskers
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import (
    COLUMN,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    StyledFigure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing


@styled
def tradeoff(sides: DataFrame, *, subjects: DataFrame | None = None) -> Figure:
    """Draw unfairness (MAD) against the CLIP score, base and corrected: up and left is better.

    Parameters
    ----------
    sides : DataFrame of shape (2, ...)
        Columns ``side``, ``mad``, ``mad_low``, ``mad_high``, ``mad_floor``, ``clip``, ``clip_low``
        and ``clip_high``.
    subjects : DataFrame, optional
        One row a side and subject, columns ``side``, ``mad`` and ``clip``: pale points behind.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    floor = float(sides["mad_floor"].iloc[0])
    axes.axvspan(0, floor, color="0.9", linewidth=0, zorder=-1, label="noise floor")
    for side, color in SIDE_COLORS.items():
        if subjects is not None:
            rows = subjects[subjects["side"] == side]
            axes.scatter(
                rows["mad"],
                rows["clip"],
                s=7,
                marker=SIDE_MARKERS[side],
                color=color,
                alpha=0.35,
                linewidth=0,
            )
        row = sides[sides["side"] == side]
        axes.errorbar(
            row["mad"],
            row["clip"],
            xerr=whiskers(row, value="mad", low="mad_low", high="mad_high"),
            yerr=whiskers(row, value="clip", low="clip_low", high="clip_high"),
            fmt=SIDE_MARKERS[side],
            markersize=6,
            color=color,
            markeredgecolor="black",
            markeredgewidth=0.6,
            ecolor="0.15",
            elinewidth=0.9,
            capsize=2,
            label=SIDE_LABELS[side],
            zorder=3,
        )
    _join(axes, sides)
    axes.set(xlabel="MAD (0 = fair)", ylabel="CLIP score")
    axes.set_xlim(left=0)
    legend_below(figure, axes)
    return figure


@run_figure(
    "tradeoff",
    reads=("quality", "labels", "shares"),
    section="effects",
    caption="Unfairness (MAD) against CLIP score. Pale points are occupations, large ones the "
    "means with 95 % intervals.",
    alt="Scatter plot of MAD against CLIP score with an arrow from base to corrected.",
)
def _tradeoff(files: RunFiles) -> Drawing:
    import pandas

    quality = files.json("quality")
    rows = []
    for side, name in (("base", "base"), ("moesd", "corrected")):
        mad, clip = quality[name]["mad"], quality[name]["clip_score"]
        rows.append(
            {"side": side, "subject": ""}
            | {"mad": mad["value"], "mad_low": mad["low"], "mad_high": mad["high"]}
            | {"mad_floor": mad["floor"], "clip": clip["value"]}
            | {"clip_low": clip["low"], "clip_high": clip["high"]}
        )
    sides = pandas.DataFrame(rows)
    table = files.table("shares")
    table = table[table["attribute"] == quality["attribute"]]
    off = (table["share"] - 1 / table["value"].nunique()).abs()
    subjects = off.groupby([table["side"], table["subject"]]).mean().rename("mad").reset_index()
    labels = files.table("labels")
    clip = labels[labels["kind"] == "neutral"].groupby(["side", "subject"])["clip_score"].mean()
    subjects = subjects.merge(clip.rename("clip").reset_index(), on=["side", "subject"])
    data = pandas.concat([sides, subjects], ignore_index=True)
    return tradeoff(sides, subjects=subjects), data


def _join(axes: Axes, sides: DataFrame) -> None:
    """Draw an arrow from base to corrected."""
    points = sides.set_index("side").loc[["base", "moesd"], ["mad", "clip"]].to_numpy(float)
    axes.annotate(
        "",
        points[1],
        points[0],
        arrowprops={
            "arrowstyle": "->",
            "color": "0.4",
            "shrinkA": 6,
            "shrinkB": 6,
            "linewidth": 0.8,
        },
    )
