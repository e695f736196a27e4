"""Figures of the Bias-Identification Gate: its thresholds and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.colors import Normalize

from figures.marks import draw_heat, legend_below, strip
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import (
    COLUMN,
    COUNT_COLORS,
    GROUP_MARKERS,
    StyledFigure,
    colors_for,
    points,
    set_title,
    styled,
)
from probe.stats.notation import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

    from figures.registry import Drawing

CLASSES = ("explicit", "male-skewed", "female-skewed", "neutral")
"""The gate's usual classes, in their usual order."""
GATES = {"route_closed": "closed form", "route_trained": "trained"}
"""Column with a gate's answers, and the gate's name."""
ROUTES = {"closed-form": "route_closed", "trained": "route_trained"}
"""What the configuration of a correction calls its gate, and the column with its answers."""


@styled
def gate_regions(
    prompts: DataFrame, *, neutral_below: float, explicit_above: float, route: str
) -> Figure:
    """Draw prompts on the axis of bias score, one row a true class, coloured by the gate's answer.

    The shading shows the answer of the closed-form gate: neutral in the white band around 0,
    skewed beyond it, explicit beyond the outer thresholds. A ring marks an error; the number at
    the right of a row is the share of its prompts that are routed correctly. ``route`` is the
    column with the answers.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    classes = class_order(prompts["route_truth"])
    colors = colors_for(class_order(prompts["route_truth"], prompts[route]))
    rows_of = {name: i for i, name in enumerate(reversed(classes))}
    axes.set_ylim(-0.6, len(classes) - 0.4)
    _shade(axes, prompts["bias_score"], neutral_below, explicit_above)
    order = prompts.groupby("route_truth").cumcount().to_numpy()
    height = prompts["route_truth"].map(rows_of).to_numpy(float) + strip(order)
    wrong = (prompts["route_truth"] != prompts[route]).to_numpy()
    for name, color in colors.items():
        answered = (prompts[route] == name).to_numpy()
        for rows, edge in ((answered & ~wrong, "none"), (answered & wrong, "black")):
            axes.scatter(
                prompts["bias_score"][rows],
                height[rows],
                s=9,
                marker=GROUP_MARKERS.get(name, "o"),
                color=color,
                edgecolor=edge,
                linewidth=0.5,
                alpha=0.9 if edge == "black" else 0.45,
                label=f"routed {name}" if edge == "none" else None,
                zorder=3 if edge == "black" else 2,
            )
    for name, row in rows_of.items():
        right = 1 - wrong[(prompts["route_truth"] == name).to_numpy()].mean()
        axes.text(1.01, row, percent(right), transform=axes.get_yaxis_transform(), va="center")
    axes.set(xlabel="bias score (female \N{MINUS SIGN} / male +)", ylabel="true class")
    axes.set_yticks(list(rows_of.values()), list(rows_of))
    axes.tick_params(axis="y", length=0)
    axes.set_title("correct", loc="left", fontsize=points(7.5), x=1.01, color="0.4")
    legend_below(figure, axes, n_columns=2)
    share = percent(1 - float(wrong.mean()))
    set_title(figure, f"The gate routes {share} of {len(prompts)} prompts as their class requires")
    return figure


@styled
def gate_confusion(prompts: DataFrame, *, routes: Mapping[str, str]) -> Figure:
    """Draw the confusion matrix of each gate: counts, on the colour of their share of the row.

    ``routes`` gives the column with a gate's answers and the title of its panel.
    """
    figure = StyledFigure(figsize=(COLUMN[0], 2.55), layout="constrained")
    panels = figure.subplots(1, len(routes), sharey=True, squeeze=False)[0]
    classes = class_order(prompts["route_truth"], *(prompts[column] for column in routes))
    for axes, (column, title) in zip(panels, routes.items(), strict=True):
        counts = confusion(prompts, column, classes=classes)[::-1]  # rows are drawn upwards
        shares = counts.div(counts.sum(axis=1).replace(0, 1), axis=0)
        draw_heat(axes, shares, colors=COUNT_COLORS, norm=Normalize(0, 1), text=counts)
        axes.set(title=title, xlabel="gate's answer", aspect="equal")
    panels[0].set_ylabel("true class")
    wrong = {of: (prompts[column] != prompts["route_truth"]).sum() for column, of in routes.items()}
    words = ", ".join(f"{title} {n}" for title, n in wrong.items())
    set_title(figure, f"Prompts routed to a wrong class, of {len(prompts)}: {words}")
    return figure


def confusion(prompts: DataFrame, route: str, *, classes: list[str] | None = None) -> DataFrame:
    """Count prompts by true class (rows) and by the gate's answer (columns)."""
    import pandas

    classes = classes or class_order(prompts["route_truth"], prompts[route])
    table = pandas.crosstab(prompts["route_truth"], prompts[route])
    return table.reindex(index=classes, columns=classes, fill_value=0)


def never_seen(prompts: DataFrame) -> DataFrame:
    """Prompts about the subjects that no training has seen; all prompts if there are none."""
    rows = prompts[prompts["split"] == "test"]
    return rows if len(rows) else prompts


def class_order(*routes: Series) -> list[str]:
    """List the classes present, the usual ones first and in their usual order."""
    present = set().union(*(set(column) for column in routes))
    return [c for c in CLASSES if c in present] + sorted(present - set(CLASSES))


@run_figure(
    "gate_regions",
    reads=("gate", "moesd"),
    section="gate",
    caption="Answers of the gate by bias score, of prompts about subjects that it was not trained "
    "on. Shading and dashed lines show the answers of the closed-form gate (neutral in the white "
    "band); rings are errors; at the right is the share routed correctly. Which prompts without a "
    "gender are skewed follows from that band.",
    alt="Prompts by bias score, one row a true class, coloured by the gate's answer.",
)
def _gate_regions(files: RunFiles) -> Drawing:
    config = files.json("moesd")
    route = ROUTES[config["kind"]]
    columns = ["prompt", "group", "subject", "split", "bias_score", "route_truth", route]
    data = never_seen(files.table("gate"))[columns]
    thresholds = {name: config[name] for name in ("neutral_below", "explicit_above")}
    return gate_regions(data, **thresholds, route=route), data


@run_figure(
    "gate_confusion",
    reads=("gate",),
    section="gate",
    caption="Confusion of the closed-form and of the trained gate, in prompts about subjects that "
    "they were not trained on; the shade is the share of the row.",
    alt="Two confusion matrices with counts.",
)
def _gate_confusion(files: RunFiles) -> Drawing:
    import pandas

    table = never_seen(files.table("gate"))
    counts = {
        title: confusion(table, column)
        .rename_axis(index="truth", columns="answer")
        .stack()
        .rename("count")
        for column, title in GATES.items()
    }
    data = pandas.concat(counts, names=["gate"]).reset_index()
    return gate_confusion(table, routes=GATES), data


def _shade(axes: Axes, bias_score: Series, neutral_below: float, explicit_above: float) -> None:
    """Shade and name the regions of the closed-form gate, up to the outermost point."""
    reach = max(1.05 * float(bias_score.abs().max()), 1.2 * explicit_above)
    axes.set_xlim(-reach, reach)
    colors = colors_for(("explicit", "female-skewed", "male-skewed"))
    middle = (neutral_below + explicit_above) / 2
    outer = (explicit_above + reach) / 2
    for begin, end, at, name in (
        (-reach, -explicit_above, -outer, "explicit"),
        (-explicit_above, -neutral_below, -middle, "female-skewed"),
        (neutral_below, explicit_above, middle, "male-skewed"),
        (explicit_above, reach, outer, "explicit"),
    ):
        axes.axvspan(begin, end, color=colors[name], alpha=0.08, linewidth=0, zorder=-1)
        above: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center"}
        axes.text(
            at, 1.01, name.split("-")[0], va="bottom", fontsize=points(7), color="0.4", **above
        )
    for size in (neutral_below, explicit_above):
        for threshold in (-size, size):
            axes.axvline(threshold, color="0.35", linewidth=0.7, linestyle="--", zorder=1)
