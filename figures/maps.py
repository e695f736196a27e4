"""Maps of the embedding space: where prompts lie, and how the correction moves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures.marks import color_bar, legend_below, name_points, scatter_groups, scatter_shares
from figures.registry import run_figure
from figures.sources import RunFiles, add_source
from figures.style import COLUMN, GREY, MIDDLE, SHARE_COLORS, WIDE, StyledFigure, points, styled
from probe.errors import StageError

if TYPE_CHECKING:
    from pandas import DataFrame

    from figures.registry import Drawing

PLANES = ("pca_x", "pca_y", "corrected_x", "corrected_y")
"""Columns with a prompt's place in one plane, before and after the correction."""
N_NAMES = 10
"""Occupations that are named beside their arrows."""


@styled
def prompt_map(prompts: DataFrame, faithfulness: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw prompts as points of a plane, one panel a method, with its `MapFaithfulness` below.

    Prompts of a group have its colour; neutral ones have the colour of women's share in the labour
    market, so that a bias is visible as a gradient of colours. The places are in the columns
    ``<method>_x`` and ``<method>_y``.
    """
    from probe.latent.maps import MapFaithfulness

    size = WIDE if len(faithfulness) > 1 else COLUMN
    figure = StyledFigure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(faithfulness), squeeze=False)[0]
    for axes, (method, found) in zip(panels, faithfulness.items(), strict=True):
        scatter_groups(axes, prompts, f"{method}_x", f"{method}_y", alpha=0.35)
        neutral = scatter_shares(axes, prompts, f"{method}_x", f"{method}_y")
        axes.set(title=method.upper(), xticks=[], yticks=[])
        axes.set_xlabel(MapFaithfulness(**found).caption(), fontsize=points(7))
    color_bar(figure, neutral, panels, "women's share (neutral prompts)", shrink=0.8)
    panels[0].scatter([], [], s=13, color=GREY, edgecolor="black", linewidth=0.3, label="neutral")
    legend_below(figure, panels[0])
    return figure


@styled
def shift_arrows(prompts: DataFrame) -> Figure:
    """Draw how the correction moves the neutral prompts: one arrow an occupation.

    An arrow joins the means over the occupation's neutral prompts before (``pca_x, pca_y``) and
    after (``corrected_x, corrected_y``, in the same plane); the pale points behind are the prompts
    that the correction should leave alone. The occupations that move farthest are named.
    """
    figure = StyledFigure(figsize=(MIDDLE[0], MIDDLE[1] * 1.25), layout="constrained")
    axes = figure.subplots()
    scatter_groups(axes, prompts, "pca_x", "pca_y", alpha=0.16)
    neutral = prompts[prompts["group"] == "neutral"].groupby("subject", sort=True)
    arrows = neutral[[*PLANES, "share_women"]].mean()
    start = arrows[["pca_x", "pca_y"]].to_numpy()
    step = arrows[["corrected_x", "corrected_y"]].to_numpy() - start
    colors: dict[str, Any] = {"cmap": SHARE_COLORS, "norm": Normalize(0, 1), "zorder": 3}
    share = arrows["share_women"].to_numpy()
    in_data: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1}
    quiver = axes.quiver(*start.T, *step.T, share, width=0.004, headwidth=4, **in_data, **colors)
    axes.scatter(*start.T, s=9, c=share, **colors)
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.set(xticks=[], yticks=[])
    ends = np.concatenate([start, start + step, prompts[["pca_x", "pca_y"]].to_numpy()])
    axes.update_datalim(ends)
    axes.autoscale_view()
    far = np.argsort(-np.linalg.norm(step, axis=1), kind="stable")[:N_NAMES]
    name_points(
        axes,
        [(*start[i], str(arrows.index[i])) for i in far],
        others=start.tolist(),
        obstacles=np.concatenate([start + part * step for part in np.linspace(0, 1, 9)]).tolist(),
    )
    color_bar(figure, quiver, [axes], "women's share", shrink=0.8)
    legend_below(figure, axes)
    return figure


@run_figure(
    "map",
    reads=("map", "fit"),
    section="bias",
    caption="The prompts in the text encoder's space. Neutral prompts, which state no gender, "
    "have the colour of women's share in the occupation: if the encoder is biased, their colours "
    "form a gradient between the female and the male prompts.",
    alt="Scatter plots of all prompts in two planes, PCA and UMAP, coloured by group.",
)
def _map(files: RunFiles) -> Drawing:
    table = files.table("map")
    found = files.json("fit")["maps"]
    columns = [f"{method}_{axis}" for method in found for axis in "xy"]
    data = table[["prompt", "group", "subject", "share_women", *columns]]
    return prompt_map(data, found), data


@run_figure(
    "shift",
    reads=("map", "gate"),
    section="shift",
    caption="How the correction moves the neutral prompts: one arrow an occupation, from the mean "
    "before to the mean after. Explicit prompts and objects (pale) are not corrected.",
    alt="Arrows from each occupation's place before to its place after the correction.",
)
def _shift(files: RunFiles) -> Drawing:
    data = files.table("map")[["prompt", "group", "subject", "share_women", *PLANES]]
    if data[["corrected_x", "corrected_y"]].isna().any(axis=None):
        raise StageError(
            f"{files.path('map')} has no places of the corrected prompts; run "
            f"`moesd-probe train {files.run}` first"
        )
    return shift_arrows(data), data


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
