"""Heat maps of a trace: layers and tokens with bias, and attention heads that write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Normalize

from figures.marks import draw_heat
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import (
    COUNT_COLORS,
    EFFECT_COLORS,
    StyledFigure,
    fitting_width,
    points,
    set_title,
    styled,
)
from probe.stats.notation import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

SITES = {"residual": "residual stream", "attention": "attention output", "mlp": "MLP output"}
"""Titles of the panels, in their order."""
POSITIONS = ("start", "person", "between", "subject", "end", "pooled", "all")
"""Positions in the order of the prompt."""
MEASURES = {
    "accuracy": ("gender by a probe, accuracy", 0.5, 1.0),
    "selectivity": ("probe accuracy \N{MINUS SIGN} control", 0.0, 0.5),
    "gap": ("gap, share of the spread", 0.0, 1.0),
    "correlation": ("r with women's share", -1.0, 1.0),
    "patching": ("% of the difference restored", 0.0, 1.0),
    "direct": ("% of the difference", -1.0, 1.0),
}
"""Measure -> what a cell's number is, and limits of its colour scale."""
KINDS = {"direct": "written by the head", "patching": "restored by the head"}
"""Titles of the panels of heads."""
_CELL = 0.19
"""Width in inches of a cell with a percentage."""


@table_figure(
    "trace",
    reads=add_source("trace"),
    caption="Correlation of the neutral prompts' projections on each cell's bias axis with the "
    "labour shares, by layer and token. The frame marks the first layer that exceeds its control.",
    alt="Heat maps of layer by token position, one a site.",
)
@styled
def trace_map(table: DataFrame, *, measure: str = "correlation") -> Figure:
    """Draw one of `MEASURES` at every layer and position, one panel a site.

    A frame marks the first layer whose measure exceeds its control, at the position with the
    largest excess.
    """
    from probe.latent.tracing import where_it_appears

    rows = table[table["measure"] == measure]
    if rows.empty:
        raise ValueError(f"the table holds no {measure!r}; it has {sorted(set(table['measure']))}")
    marked = {}
    for site in rows["site"].unique():
        found = where_it_appears(rows, measure=measure, site=site)
        marked[site] = [] if found is None else [(found.layer, found.position)]
    layer, position = min((at for of in marked.values() for at in of), default=("", ""))
    where = f"layer\N{NO-BREAK SPACE}{layer}, at {position}" if position else "nowhere"
    text = f"First above its control: {where} ({MEASURES[measure][0]})"
    return _panels(rows, measure, marked, "first above its control", text)


@table_figure(
    "patching",
    reads=add_source("patching"),
    caption="Share of a pair's difference that a single state carries: the female prompt runs "
    "with that state taken from its male counterfactual. 0 is nothing, 1 all.",
    alt="Heat maps of layer by token position, one a site.",
)
@styled
def patching_map(table: DataFrame) -> Figure:
    """Draw the effect of patching at every layer and position, one panel a site.

    A frame marks the position with the largest effect in each layer of the residual stream.
    """
    rows = table[table["measure"] == "patching"]
    stream = rows[(rows["site"] == "residual") & (rows["position"] != "all")]
    largest = stream.loc[stream.groupby("layer")["value"].idxmax()]
    marked = {"residual": list(zip(largest["layer"], largest["position"], strict=True))}
    top = stream.loc[stream["value"].idxmax()]
    where = f"layer {top['layer']}, at {top['position']}"
    text = f"A single state carries up to {percent(top['value'], 0)} of the difference: {where}"
    return _panels(rows, "patching", marked, "carries the most in its layer", text)


@table_figure(
    "heads",
    reads=add_source("heads"),
    caption="Contribution of each attention head to the difference of the pairs: what it writes "
    "into the end of the prompt, and what patching it restores.",
    alt="Heat maps of layer by head.",
)
@styled
def head_map(table: DataFrame) -> Figure:
    """Draw each attention head's share of the difference, one panel a method.

    A negative share, in purple, opposes the difference. A frame marks the largest share.
    """
    rows = table[table["site"] == "head"]
    kinds = [kind for kind in KINDS if (rows["measure"] == kind).any()]
    layers, heads = sorted(set(rows["layer"])), sorted(set(rows["head"]))
    figure, panels = _figure(0.4 + _CELL * len(kinds) * len(heads), layers, len(kinds))
    reach = max(float(np.abs(rows["value"]).max()), np.finfo(float).tiny)
    for axes, kind in zip(panels, kinds, strict=True):
        own = rows[rows["measure"] == kind]
        largest = own.loc[own["value"].idxmax()]
        grid = own.pivot(index="layer", columns="head", values="value").loc[layers, heads]
        draw_heat(
            axes,
            grid,
            colors=EFFECT_COLORS,
            norm=Normalize(-reach, reach),
            marked=[(largest["layer"], largest["head"])],
            text=_percent(grid),
        )
        axes.set(title=KINDS[kind], xlabel="head")
    _explain(figure, panels, f"{MEASURES['direct'][0]}; frame: largest")
    top = rows.loc[rows["value"].idxmax()]
    share = f"{percent(top['value'], 0)} is {KINDS[top['measure']].replace('the head', '')}"
    set_title(
        figure,
        f"Largest share of the difference: {share}head {top['head']} of layer {top['layer']}",
    )
    return figure


def _panels(
    rows: DataFrame,
    measure: str,
    marked: Mapping[str, list[tuple[int, str]]],
    label: str,
    text: str,
) -> Figure:
    sites = [site for site in SITES if (rows["site"] == site).any()]
    positions = [name for name in POSITIONS if (rows["position"] == name).any()]
    layers = list(range(int(rows["layer"].max()) + 1))
    title, low, high = MEASURES[measure]
    is_percent = title.startswith("%")
    cell = _CELL if is_percent else 1.4 * _CELL
    figure, panels = _figure(0.4 + cell * len(sites) * len(positions), layers, len(sites))
    for axes, site in zip(panels, sites, strict=True):
        grid = rows[rows["site"] == site].pivot(index="layer", columns="position", values="value")
        grid = grid.reindex(index=layers, columns=positions)
        draw_heat(
            axes,
            grid,
            colors=EFFECT_COLORS if low < 0 else COUNT_COLORS,
            norm=Normalize(low, high),
            marked=marked.get(site, []),
            text=_percent(grid) if is_percent else None,
        )
        axes.set_title(SITES[site], fontsize=points(7.5))
    _explain(figure, panels, f"{title}; frame: {label}")
    set_title(figure, text)
    return figure


def _figure(width: float, layers: Sequence[int], n_panels: int) -> tuple[Figure, Sequence[Axes]]:
    size = (fitting_width(width), 1.1 + 0.2 * len(layers))
    figure = StyledFigure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]


def _explain(figure: Figure, panels: Sequence[Axes], text: str) -> None:
    """Name the axis of the layers, and say what the numbers are."""
    panels[0].set_ylabel("layer")
    figure.supxlabel(text, fontsize=points(7.5))


def _percent(grid: DataFrame) -> DataFrame:
    return grid.map(lambda value: number(100 * value, 0))
