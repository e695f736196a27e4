"""Trade-offs: unfairness against what a correction costs, of one correction and of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from figures.marks import legend_below, whiskers
from figures.registry import run_figure, table_figure
from figures.sources import RunFiles, add_source
from figures.style import (
    COLUMN,
    OKABE_ITO,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    WIDE,
    StyledFigure,
    points,
    styled,
)
from probe.run.compare.methods import ORACLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

COSTS = {"explicit_adherence": "explicit prompt adherence", "clip_score": "CLIP score"}
"""Figures of a method against which its fairness is drawn, with the titles of their axes."""
KINDS = {
    "base": ("black", "s"),
    "moesd": ("green", "o"),
    "oracle": ("purple", "D"),
    "baseline": ("blue", "^"),
}
"""Colour and marker by kind of method."""

# Read by the report.
add_source(
    "methods_found", path="comparison/methods.json", kind="comparison", stage="compare methods"
)


@styled
def tradeoff(sides: DataFrame, subjects: DataFrame) -> Figure:
    """Draw unfairness (MAD) against the CLIP score, base and corrected: up and left is better.

    A row of ``sides`` has the figures of a side with their limits and noise floor (``mad, mad_low,
    mad_high, mad_floor, clip, clip_low, clip_high``); ``subjects`` are pale points behind.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    floor = float(sides["mad_floor"].iloc[0])
    axes.axvspan(0, floor, color="0.9", linewidth=0, zorder=-1, label="noise floor")
    for side, color in SIDE_COLORS.items():
        rows = subjects[subjects["side"] == side]
        pale: dict[str, Any] = {"color": color, "alpha": 0.35, "linewidth": 0, "s": 7}
        axes.scatter(rows["mad"], rows["clip"], marker=SIDE_MARKERS[side], **pale)
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
    start, end = sides.set_index("side").loc[["base", "moesd"], ["mad", "clip"]].to_numpy(float)
    arrow = {"arrowstyle": "->", "color": "0.4", "shrinkA": 6, "shrinkB": 6, "linewidth": 0.8}
    axes.annotate("", end, start, arrowprops=arrow)
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
    return tradeoff(sides, subjects), data


@table_figure(
    "methods",
    reads=add_source("methods", path="comparison/methods.parquet", stage="compare methods"),
    section="methods",
    caption="Methods compared on the same prompts, noise and evaluators: unfairness (MAD) against "
    "adherence to explicit prompts and against CLIP score, with 95 % intervals. The dashed line "
    "is the noise floor; hollow methods lose explicit prompts. The oracle states the gender in "
    "the prompt.",
    alt="Two scatter plots of methods, numbered, with intervals.",
)
@styled
def methods_tradeoff(methods: DataFrame) -> Figure:
    """Draw every method's unfairness against explicit adherence and against CLIP score.

    One row a method and ``figure``: ``"mad"``, which has a ``floor``, or a key of `COSTS`.
    """
    figure = StyledFigure(figsize=(WIDE[0], 3.4), layout="constrained")
    panels = figure.subplots(1, len(COSTS), sharey=True)
    floor = methods.loc[methods["figure"] == "mad", "floor"].mean()
    of_method = methods.set_index("figure").groupby("name", sort=False)
    for axes, (cost, title) in zip(panels, COSTS.items(), strict=True):
        axes.axhline(floor, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        for number, (name, rows) in enumerate(of_method, start=1):
            _draw_method(axes, rows, cost, number, str(name))
        axes.set(xlabel=title)
    panels[0].set(ylabel="MAD (lower is fairer)", ylim=(-0.02, None))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=points(7))
    return figure


def kind_of(name: str) -> str:
    """Return which of `KINDS` a method is, by its name."""
    if name == ORACLE:
        return "oracle"
    return next((kind for kind in ("base", "moesd") if name.startswith(kind)), "baseline")


def _draw_method(axes: Axes, rows: DataFrame, cost: str, number: int, name: str) -> None:
    color, marker = KINDS[kind_of(name)]
    x, y = rows.loc[[cost]], rows.loc[["mad"]]
    axes.errorbar(
        x["value"],
        y["value"],
        xerr=whiskers(x, value="value"),
        yerr=whiskers(y, value="value"),
        fmt=marker,
        markersize=4,
        color=OKABE_ITO[color],
        markerfacecolor=OKABE_ITO[color] if rows["keeps_explicit"].all() else "white",
        elinewidth=0.6,
        label=f"{number}  {name}",
    )
    at: dict[str, Any] = {"xytext": (4, 3), "textcoords": "offset points"}
    place = (x["value"].iloc[0], y["value"].iloc[0])
    axes.annotate(str(number), place, fontsize=points(6.5), **at)
