"""Maps of the embedding space: where prompts lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from figures.marks import group_order, legend_below
from figures.registry import run_figure
from figures.sources import RunFiles, add_source
from figures.style import (
    COLUMN,
    GREY,
    GROUP_MARKERS,
    SHARE_COLORS,
    StyledFigure,
    colors_for,
    points,
    set_title,
    styled,
)
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from pandas import DataFrame

    from figures.registry import Drawing


@styled
def prompt_map(prompts: DataFrame, faithfulness: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw prompts as points of a plane, one panel a method, with its `MapFaithfulness` below.

    Prompts of a group have its colour; neutral ones have the colour of women's share in the labour
    market, so that a bias is visible as a gradient of colours. The places are in the columns
    ``<method>_x`` and ``<method>_y``.
    """
    from probe.latent.maps import MapFaithfulness

    n_panels = len(faithfulness)
    figure = StyledFigure(figsize=(COLUMN[0], 0.9 + 1.9 * n_panels), layout="constrained")
    panels = figure.subplots(n_panels, squeeze=False)[:, 0]
    for axes, (method, found) in zip(panels, faithfulness.items(), strict=True):
        neutral = _scatter(axes, prompts, f"{method}_x", f"{method}_y")
        axes.set(title=method.upper(), xticks=[], yticks=[])
        axes.set_xlabel(MapFaithfulness(**found).caption(), fontsize=points(6.5))
    bar = figure.colorbar(neutral, ax=list(panels), shrink=0.8, aspect=25, pad=0.01)
    bar.set_label("women's share (neutral prompts)")
    bar.outline.set_visible(False)
    panels[0].scatter([], [], s=13, color=GREY, edgecolor="black", linewidth=0.3, label="neutral")
    legend_below(figure, panels[0])
    method = next(iter(faithfulness))
    of_neutral = prompts[prompts["group"] == "neutral"]
    r = number(abs(of_neutral[f"{method}_x"].corr(of_neutral["share_women"])), 2)
    name = method.upper() if len(method) < 5 else f"the {method} map"
    text = f"The first axis of {name} orders the neutral prompts by women's share"
    set_title(figure, f"{text}: |r|\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{r}")
    return figure


def _scatter(axes: Axes, prompts: DataFrame, x: str, y: str) -> PathCollection:
    """Draw every group pale, in its colour, and the neutral prompts in that of women's share."""
    groups = [group for group in group_order(prompts["group"]) if group != "neutral"]
    for group, color in colors_for(groups).items():
        rows = prompts[prompts["group"] == group]
        style = {"marker": GROUP_MARKERS.get(group, "D"), "color": color, "alpha": 0.35}
        axes.scatter(rows[x], rows[y], s=9, linewidth=0, label=group, **style)
    rows = prompts[prompts["group"] == "neutral"]
    style = {"c": rows["share_women"], "cmap": SHARE_COLORS, "vmin": 0, "vmax": 1, "zorder": 3}
    return axes.scatter(rows[x], rows[y], s=13, edgecolor="black", linewidth=0.3, **style)


@run_figure(
    "map",
    reads=("map", "fit"),
    section="bias",
    caption="The prompts in the text encoder's space, one point a prompt, by PCA and by UMAP. "
    "Neutral prompts, which state no gender, have the colour of women's share in the occupation: "
    "if the encoder is biased, their colours form a gradient between the female and the male "
    "prompts. Below each map: how far neighbours in the space are neighbours on the map.",
    alt="Scatter plots of all prompts in two planes, PCA above UMAP, coloured by group.",
)
def _map(files: RunFiles) -> Drawing:
    table = files.table("map")
    found = files.json("fit")["maps"]
    columns = [f"{method}_{axis}" for method in found for axis in "xy"]
    data = table[["prompt", "group", "subject", "share_women", *columns]]
    return prompt_map(data, found), data


@run_figure(
    "supervised_map",
    reads=(
        add_source("maps"),
        add_source("maps_found", path="latent/maps.json", kind="study"),
    ),
    caption="UMAP of the prompts, fitted without the occupations never seen, which were then "
    "placed on it: unsupervised, and supervised by the groups. The second separates the groups by "
    "construction; where the prompts never seen fall on it is the test.",
    alt="Two scatter plots of prompts, coloured by group.",
)
def _supervised_map(files: RunFiles) -> Drawing:
    data, found = files.table("maps"), files.json("maps_found")["figures"]
    faithfulness = {name: of["faithfulness"] for name, of in found.items()}
    return prompt_map(data, faithfulness), data
