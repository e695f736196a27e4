"""Trade-offs of all methods: unfairness against what a correction costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.registry import table_figure
from figures.sources import add_source
from figures.style import GREY, OKABE_ITO, WIDE, StyledFigure, points, set_title, styled
from probe.run.compare.methods import ORACLE
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame


COSTS = {"explicit_adherence": "explicit prompt adherence", "clip_score": "CLIP score"}
"""Figures of a method against which its fairness is drawn, with the titles of their axes."""
KINDS = {
    "base": (OKABE_ITO["black"], "s"),
    "moesd": (OKABE_ITO["green"], "o"),
    "oracle": (OKABE_ITO["purple"], "D"),
    "baseline": (GREY, "^"),
}
"""Colour and marker by kind of method."""

# Read by the report.
add_source(
    "methods_found", path="comparison/methods.json", kind="comparison", stage="compare methods"
)


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
        for place, (name, rows) in enumerate(of_method, start=1):
            _draw_method(axes, rows, cost, place, str(name))
        axes.set(xlabel=title)
    panels[0].set(ylabel="MAD (lower is fairer)", ylim=(-0.02, None))
    mad = methods[methods["figure"] == "mad"]
    of_kind = mad["name"].map(kind_of)
    own = mad["keeps_explicit"] & ~of_kind.isin(["base", "oracle"])
    found = [f"{of.name} {number(of.value)}" for of in mad[own].nsmallest(1, "value").itertuples()]
    before = number(mad.loc[of_kind == "base", "value"].mean())
    text = "Lowest MAD of the methods shown to keep explicit prompts"
    set_title(figure, f"{text}: {found[0] if found else 'none'}; of the base model: {before}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=points(7))
    return figure


def kind_of(name: str) -> str:
    """Return which of `KINDS` a method is, by its name."""
    if name == ORACLE:
        return "oracle"
    return next((kind for kind in ("base", "moesd") if name.startswith(kind)), "baseline")


def _draw_method(axes: Axes, rows: DataFrame, cost: str, which: int, name: str) -> None:
    color, marker = KINDS[kind_of(name)]
    x, y = rows.loc[cost], rows.loc["mad"]
    place = (x["value"], y["value"])
    across, up = (
        np.clip([[of["value"] - of["low"]], [of["high"] - of["value"]]], 0, None) for of in (x, y)
    )  # rounding may not make an arm negative
    axes.errorbar(
        *place,
        xerr=across,
        yerr=up,
        fmt=marker,
        markersize=4,
        color=color,
        markerfacecolor=color if rows["keeps_explicit"].all() else "white",
        elinewidth=0.6,
        label=f"{which}  {name}",
    )
    at: dict[str, Any] = {"xytext": (4, 3), "textcoords": "offset points"}
    axes.annotate(str(which), place, fontsize=points(6.5), **at)
