"""Maps of the embedding space: where prompts lie, and how the correction moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures.marks import legend_below, name_points, scatter_groups, scatter_shares, share_bar
from figures.registry import run_figure
from figures.sources import RunFiles, add_source
from figures.style import COLUMN, GREY, MIDDLE, SHARE_COLORS, WIDE, StyledFigure, points, styled
from probe.errors import StageError

if TYPE_CHECKING:
    from pandas import DataFrame

    from figures.registry import Drawing


@styled
def prompt_map(
    prompts: DataFrame,
    *,
    methods: Sequence[str] = ("pca", "umap"),
    faithfulness: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Draw prompts as points of a plane, one panel a method.

    Prompts of a group have its colour; neutral ones have the colour of the labour share of women
    of their occupation, so that a bias shows as a gradient of colours.

    Parameters
    ----------
    prompts : DataFrame of shape (n_prompts, ...)
        Columns ``group``, ``share_women`` and, for each method, ``<method>_x``, ``<method>_y``.
    methods : sequence of str
        The panels, from left to right.
    faithfulness : mapping, optional
        By method, the figures of `MapFaithfulness`; they are printed under the panel.
    """
    from probe.latent.maps.faithfulness import MapFaithfulness

    figure = StyledFigure(figsize=WIDE if len(methods) > 1 else COLUMN, layout="constrained")
    panels = figure.subplots(1, len(methods), squeeze=False)[0]
    for axes, method in zip(panels, methods, strict=True):
        scatter_groups(axes, prompts, f"{method}_x", f"{method}_y", alpha=0.35)
        neutral = scatter_shares(axes, prompts, f"{method}_x", f"{method}_y")
        axes.set(title=method.upper(), xticks=[], yticks=[])
        if faithfulness and method in faithfulness:
            axes.set_xlabel(MapFaithfulness(**faithfulness[method]).caption(), fontsize=points(7))
    share_bar(figure, neutral, panels, "women's share (neutral prompts)")
    panels[0].scatter([], [], s=13, color=GREY, edgecolor="black", linewidth=0.3, label="neutral")
    legend_below(figure, panels[0])
    return figure


@styled
def shift_arrows(prompts: DataFrame, *, n_names: int = 10) -> Figure:
    """Draw how the correction moves the neutral prompts: one arrow an occupation.

    An arrow joins the means over the occupation's neutral prompts before and after; the pale
    points behind are the prompts that the correction should leave alone.

    Parameters
    ----------
    prompts : DataFrame of shape (n_prompts, ...)
        Columns ``group``, ``subject``, ``share_women``, ``pca_x``, ``pca_y`` and ``corrected_x``,
        ``corrected_y`` (the same plane, after the correction).
    n_names : int, default=10
        How many occupations to name: those that move farthest.
    """
    figure = StyledFigure(figsize=(MIDDLE[0], MIDDLE[1] * 1.25), layout="constrained")
    axes = figure.subplots()
    scatter_groups(axes, prompts, "pca_x", "pca_y", alpha=0.16)
    arrows = (
        prompts[prompts["group"] == "neutral"]
        .groupby("subject", sort=True)[
            ["pca_x", "pca_y", "corrected_x", "corrected_y", "share_women"]
        ]
        .mean()
    )
    start = arrows[["pca_x", "pca_y"]].to_numpy()
    step = arrows[["corrected_x", "corrected_y"]].to_numpy() - start
    quiver = axes.quiver(
        *start.T,
        *step.T,
        arrows["share_women"].to_numpy(),
        cmap=SHARE_COLORS,
        norm=Normalize(0, 1),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.004,
        headwidth=4,
        zorder=3,
    )
    axes.scatter(
        start[:, 0],
        start[:, 1],
        s=9,
        c=arrows["share_women"],
        cmap=SHARE_COLORS,
        vmin=0,
        vmax=1,
        zorder=3,
    )
    axes.set(
        xlabel="first principal component",
        ylabel="second principal component",
        xticks=[],
        yticks=[],
    )
    ends = np.concatenate([start, start + step, prompts[["pca_x", "pca_y"]].to_numpy()])
    axes.update_datalim(ends)
    axes.autoscale_view()
    far = np.argsort(-np.linalg.norm(step, axis=1), kind="stable")[:n_names]
    name_points(
        axes,
        [(*start[i], str(arrows.index[i])) for i in far],
        others=start.tolist(),
        obstacles=np.concatenate([start + part * step for part in np.linspace(0, 1, 9)]).tolist(),
    )
    share_bar(figure, quiver, [axes], "women's share")
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
    methods = [m for m in ("pca", "umap") if table[f"{m}_x"].notna().all()]
    columns = [f"{method}_{axis}" for method in methods for axis in "xy"]
    data = table[["prompt", "group", "subject", "share_women", *columns]]
    return prompt_map(data, methods=methods, faithfulness=files.json("fit")["maps"]), data


@run_figure(
    "shift",
    reads=("map", "gate"),
    section="shift",
    caption="How the correction moves the neutral prompts: one arrow an occupation, from the mean "
    "before to the mean after. Explicit prompts and objects (pale) are not corrected.",
    alt="Arrows from each occupation's place before to its place after the correction.",
)
def _shift(files: RunFiles) -> Drawing:
    columns = ["pca_x", "pca_y", "corrected_x", "corrected_y"]
    data = files.table("map")[["prompt", "group", "subject", "share_women", *columns]]
    if data[["corrected_x", "corrected_y"]].isna().any(axis=None):
        raise StageError(
            f"{files.path('map')} has no places of the corrected prompts; run "
            f"`moesd-probe train {files.run}` first"
        )
    return shift_arrows(data), data


@run_figure(
    "supervised_map",
    reads=(
        add_source("maps", "prompt group share_women umap_x umap_y supervised_x supervised_y"),
        add_source("maps_found", "lines figures", path="latent/maps.json", kind="study"),
    ),
    caption="UMAP of the prompts, fitted without the held-out occupations, which were then placed "
    "on it: unsupervised, and supervised by the groups. The second separates the groups by "
    "construction; where held-out prompts fall on it is the test.",
    alt="Two scatter plots of prompts, coloured by group.",
)
def _supervised_map(files: RunFiles) -> Drawing:
    data, found = files.table("maps"), files.json("maps_found")["figures"]
    faithfulness = {name: of["faithfulness"] for name, of in found.items()}
    return prompt_map(data, methods=list(faithfulness), faithfulness=faithfulness), data
