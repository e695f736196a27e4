"""All methods: unfairness beside what a correction costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.registry import table_figure
from figures.sources import add_source
from figures.style import COLUMN, GREY, OKABE_ITO, StyledFigure, set_title, styled
from probe.run.compare.methods import ORACLE
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PANELS = {
    "mad": "MAD\n(0: even)",
    "explicit_adherence": "explicit\nadherence",
    "clip_score": "CLIP score",
}
"""Figures of a method, and the titles of their axes."""
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
    caption="Methods compared on the same prompts, noise and evaluators: unfairness (MAD), "
    "adherence to explicit prompts, and CLIP score, with 95 % intervals over occupations. The "
    "dashed line is the noise floor. Hollow: not shown to keep explicit adherence. The oracle "
    "(diamond) states the gender in the prompt.",
    alt="Dot plots with intervals, one row a method, ordered by unfairness.",
)
@styled
def method_panels(methods: DataFrame) -> Figure:
    """Draw every method's unfairness beside what it costs, the fairest first.

    One row a method and ``figure``, a key of `PANELS`; ``"mad"`` has a ``floor``. Methods that are
    not shown to keep explicit prompts are last.
    """
    mad = methods[methods["figure"] == "mad"]
    mad = mad.sort_values(["keeps_explicit", "value"], ascending=[False, True])
    names = mad["name"].tolist()
    figure = StyledFigure(figsize=(COLUMN[0], 1.0 + 0.16 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (key, title) in zip(panels, PANELS.items(), strict=True):
        rows = methods[methods["figure"] == key].set_index("name")
        for height, name in enumerate(names):
            if name in rows.index:
                row = rows.loc[name]
                color, marker = KINDS[kind_of(name)]
                face = color if row["keeps_explicit"] else "white"
                axes.hlines(height, row["low"], row["high"], color=color)
                style = {"color": face, "edgecolor": color, "marker": marker}
                axes.scatter(row["value"], height, s=16, zorder=3, **style)
        axes.set_xlabel(title)
        axes.tick_params(axis="y", length=0)
    panels[0].axvline(mad["floor"].mean(), color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    panels[0].set(xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
    panels[0].set_yticks(range(len(names)), names)
    of_kind = mad["name"].map(kind_of)
    own = mad["keeps_explicit"] & ~of_kind.isin(["base", "oracle"])
    found = [f"{of.name} {number(of.value)}" for of in mad[own].head(1).itertuples()]
    before = number(mad.loc[of_kind == "base", "value"].mean())
    text = "Lowest MAD of the methods shown to keep explicit prompts"
    set_title(figure, f"{text}: {found[0] if found else 'none'}; of the base model: {before}")
    return figure


def kind_of(name: str) -> str:
    """Return which of `KINDS` a method is, by its name."""
    if name == ORACLE:
        return "oracle"
    return next((kind for kind in ("base", "moesd") if name.startswith(kind)), "baseline")
