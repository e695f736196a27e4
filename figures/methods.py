"""Methods compared: fairness against adherence to explicit prompts and CLIP score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.registry import table_figure
from figures.sources import add_source
from figures.style import OKABE_ITO, WIDE, StyledFigure, points, styled
from probe.run.compare.methods import ORACLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

COSTS = {
    "explicit_adherence": "explicit prompt adherence",
    "clip_score": "CLIP score",
}
"""Figures against which fairness is drawn, with the titles of their axes."""
KINDS = {
    "base": ("black", "s"),
    "moesd": ("green", "o"),
    "oracle": ("purple", "D"),
    "baseline": ("blue", "^"),
}
"""Colour and marker by kind of method."""
_FOUND = add_source(
    "methods_found",
    "methods fairest noise_floor n_images attribute",
    path="comparison/methods.json",
    kind="comparison",
    stage="compare methods",
)  # read by the report


@table_figure(
    "methods",
    reads=add_source(
        "methods",
        "name keeps_explicit figure value low high floor",
        path="comparison/methods.parquet",
        stage="compare methods",
    ),
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
    wide = methods.pivot(index="name", columns="figure", values=["value", "low", "high"])
    names = list(dict.fromkeys(methods["name"]))
    floor = methods.loc[methods["figure"] == "mad", "floor"].mean()
    keeps = methods.drop_duplicates("name").set_index("name")["keeps_explicit"]
    for axes, (cost, title) in zip(panels, COSTS.items(), strict=True):
        axes.axhline(floor, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        for number, name in enumerate(names, start=1):
            _draw_method(axes, wide.loc[name], cost, number, name, is_full=bool(keeps[name]))
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


def _draw_method(
    axes: Axes, row: DataFrame, cost: str, number: int, name: str, *, is_full: bool
) -> None:
    color, marker = KINDS[kind_of(name)]
    x, y = row["value", cost], row["value", "mad"]
    axes.errorbar(
        x,
        y,
        xerr=[[max(0.0, x - row["low", cost])], [max(0.0, row["high", cost] - x)]],
        yerr=[[max(0.0, y - row["low", "mad"])], [max(0.0, row["high", "mad"] - y)]],
        fmt=marker,
        markersize=4,
        color=OKABE_ITO[color],
        markerfacecolor=OKABE_ITO[color] if is_full else "white",
        elinewidth=0.6,
        label=f"{number}  {name}",
    )
    at = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": points(6.5)}
    axes.annotate(str(number), (x, y), **at)
