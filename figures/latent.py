"""Figures of the embedding space: where the bias stands, and how the correction moves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures.marks import (
    group_order,
    legend_below,
    name_points,
    scatter_groups,
    scatter_shares,
    share_bar,
    signed,
)
from figures.style import (
    COLUMN,
    GREY,
    GROUP_LINES,
    GROUP_MARKERS,
    MIDDLE,
    OKABE_ITO,
    SHARE_COLORS,
    WIDE,
    StyledFigure,
    colors_for,
    points,
    styled,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from pandas import DataFrame


@styled
def prompt_map(
    prompts: DataFrame,
    *,
    methods: Sequence[str] = ("pca", "umap"),
    faithfulness: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Draw prompts as points of a plane, one panel a method.

    Prompts of a group have its colour; neutral ones have the colour of the labour share of women
    of their occupation, so that a bias shows as an order of colours.

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
def projection_histogram(
    scores: Mapping[str, npt.NDArray[np.floating]], *, bins: int = 30
) -> Figure:
    """Draw one outline a group of signed projections on the bias axis, each of area 1.

    Parameters
    ----------
    scores : mapping from group to ndarray of shape (n_prompts,)
        Projections, positive towards male; all groups share the same bins.
    bins : int, default=30
        Number of bins over the range of all scores.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    colors = colors_for(scores)
    together = np.concatenate([np.asarray(values) for values in scores.values()])
    edges = np.histogram_bin_edges(together, bins).tolist()
    for label, values in scores.items():
        axes.hist(values, edges, density=True, color=colors[label], alpha=0.12, linewidth=0)
        line = GROUP_LINES.get(label, "-")
        axes.hist(
            values,
            edges,
            density=True,
            histtype="step",
            linewidth=1.1,
            linestyle=line,
            color=colors[label],
            label=f"{label} ({len(values)})",
        )
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(
        xlabel="projection on the bias axis (female \N{MINUS SIGN} / male +)", ylabel="density"
    )
    legend_below(figure, axes, n_columns=2)
    return figure


@styled
def bias_score_against_share(
    subjects: DataFrame, *, interval: tuple[float, float] | None = None, n_names: int = 12
) -> Figure:
    """Draw each occupation's bias score against women's share in the labour market.

    The line is the least-squares fit, and ``r`` Pearson's, over all occupations drawn. Bias score
    is positive towards male, so a biased encoder has a negative ``r``.

    Parameters
    ----------
    subjects : DataFrame of shape (n_subjects, ...)
        Columns ``subject``, ``share_women`` (0 to 1), ``bias_score`` and ``split``; rows whose
        split is ``"held_out"`` are drawn hollow.
    interval : (float, float), optional
        Interval of ``r``, written behind it.
    n_names : int, default=12
        How many occupations to name: those farthest from the middle of the cloud.
    """
    from scipy.stats import linregress

    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    share, bias_score = (
        subjects["share_women"].to_numpy(float),
        subjects["bias_score"].to_numpy(float),
    )
    fit = linregress(share, bias_score)
    label = f"r = {signed(fit.rvalue)}"
    if interval is not None:
        label += f" [{signed(interval[0])}, {signed(interval[1])}]"
    held_out = subjects["split"].to_numpy() == "held_out"
    for rows, face, name in ((~held_out, GREY, "trained on"), (held_out, "white", "held out")):
        if rows.any():
            axes.scatter(
                share[rows],
                bias_score[rows],
                s=14,
                color=face,
                edgecolor="0.3",
                linewidth=0.7,
                label=name,
            )
    ends = np.array([0.0, 1.0])
    axes.plot(ends, fit.intercept + fit.slope * ends, color=OKABE_ITO["vermillion"], label=label)
    axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(
        xlabel="women's share in the labour market",
        ylabel="bias score in the text encoder (male +)",
        xlim=(-0.03, 1.03),
    )
    room = 0.12 * (np.ptp(bias_score) or 1.0)
    axes.set_ylim(bias_score.min() - room, bias_score.max() + room)
    far = np.argsort(-_distance_from_middle(share, bias_score), kind="stable")[:n_names]
    line = np.linspace(0.0, 1.0, 60)
    on_line = np.column_stack([line, fit.intercept + fit.slope * line])
    names = subjects["subject"].to_numpy()
    name_points(
        axes,
        [(share[i], bias_score[i], str(names[i])) for i in far],
        others=np.column_stack([share, bias_score]).tolist(),
        obstacles=on_line.tolist(),
    )
    legend_below(figure, axes)
    return figure


@styled
def shift_arrows(prompts: DataFrame, *, n_names: int = 10) -> Figure:
    """Draw where the correction takes the neutral prompts: one arrow an occupation.

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


@styled
def bias_score_shift(prompts: DataFrame) -> Figure:
    """Draw every prompt's bias score after the correction against its bias score before.

    On the diagonal a prompt is untouched, on the horizontal axis its bias score is gone, and in the
    shaded quadrants its lean has changed sign: it is overcorrected.

    Parameters
    ----------
    prompts : DataFrame of shape (n_prompts, ...)
        Columns ``group``, ``bias_score`` and ``bias_score_corrected``.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    before, after = (
        prompts["bias_score"].to_numpy(float),
        prompts["bias_score_corrected"].to_numpy(float),
    )
    reach = 1.08 * max(np.abs(before).max(), np.abs(after).max(), np.finfo(float).tiny)
    for corner in ((0.0, -reach), (-reach, 0.0)):
        axes.add_patch(Rectangle(corner, reach, reach, color="0.94", linewidth=0, zorder=-1))
    axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.plot([-reach, reach], [-reach, reach], color="0.6", linewidth=0.8, zorder=0)
    for group, color in colors_for(group_order(prompts["group"])).items():
        rows = (prompts["group"] == group).to_numpy()
        axes.scatter(
            before[rows],
            after[rows],
            s=9,
            marker=GROUP_MARKERS.get(group, "D"),
            color=color,
            alpha=0.7 if group == "neutral" else 0.35,
            linewidth=0,
            label=group,
            zorder=3 if group == "neutral" else 2,
        )
    axes.text(0.97, 0.03, "overcorrected", transform=axes.transAxes, ha="right", color="0.45")
    axes.text(0.03, 0.94, "overcorrected", transform=axes.transAxes, color="0.45")
    axes.set(xlabel="bias score before (male +)", ylabel="bias score after", xlim=(-reach, reach))
    axes.set_ylim(-reach, reach)
    legend_below(figure, axes)
    return figure


def _distance_from_middle(
    x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    scale_x, scale_y = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    distance: npt.NDArray[np.floating] = np.hypot(
        (x - x.mean()) / scale_x, (y - y.mean()) / scale_y
    )
    return distance
