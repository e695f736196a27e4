"""Bias scores and projections: by group, against the labour market, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures.marks import group_order, legend_below, name_points
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import (
    COLUMN,
    GREY,
    GROUP_LINES,
    GROUP_MARKERS,
    OKABE_ITO,
    StyledFigure,
    colors_for,
    styled,
)
from probe.stats.notation import bracketed
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from pandas import DataFrame

    from figures.registry import Drawing
    from probe.arrays import Vector

N_NAMES = 12
"""Occupations that are named."""


@styled
def projection_histogram(scores: Mapping[str, Vector]) -> Figure:
    """Draw one outline a group of signed projections on the bias axis, each of area 1."""
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    colors = colors_for(scores)
    together = np.concatenate([np.asarray(values) for values in scores.values()])
    edges = np.histogram_bin_edges(together, 30).tolist()
    for label, values in scores.items():
        axes.hist(values, edges, density=True, color=colors[label], alpha=0.12, linewidth=0)
        outline = {"color": colors[label], "linestyle": GROUP_LINES.get(label, "-")}
        outline |= {"label": f"{label} ({len(values)})"}
        axes.hist(values, edges, density=True, histtype="step", linewidth=1.1, **outline)
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(
        xlabel="projection on the bias axis (female \N{MINUS SIGN} / male +)", ylabel="density"
    )
    legend_below(figure, axes, n_columns=2)
    return figure


@styled
def bias_score_against_share(subjects: DataFrame, *, interval: tuple[float, float]) -> Figure:
    """Draw each occupation's bias score against women's share in the labour market.

    The line is the least-squares fit, and ``r`` Pearson's with its ``interval``. Bias score is
    positive towards male, so a biased encoder has a negative ``r``. Occupations never seen
    are hollow; those furthest from the middle of the cloud are named.
    """
    from scipy.stats import linregress

    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    share, bias_score = subjects[["share_women", "bias_score"]].to_numpy(float).T
    fit = linregress(share, bias_score)
    label = f"r = {bracketed(fit.rvalue, *interval, digits=2)}"
    for (split, name), face in zip(SPLIT_NAMES.items(), (GREY, "0.85", "white"), strict=True):
        rows = (subjects["split"] == split).to_numpy()
        if rows.any():
            style = {"color": face, "edgecolor": "0.3", "linewidth": 0.7, "label": name}
            axes.scatter(share[rows], bias_score[rows], s=14, **style)
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
    far = np.argsort(-_distance_from_middle(share, bias_score), kind="stable")[:N_NAMES]
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
def bias_score_shift(prompts: DataFrame) -> Figure:
    """Draw every prompt's bias score after the correction against its bias score before.

    On the diagonal a prompt is unchanged, on the horizontal axis its bias score is 0, and in the
    shaded quadrants it has changed sign: the prompt is overcorrected.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    before, after = prompts[["bias_score", "bias_score_corrected"]].to_numpy(float).T
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


@run_figure(
    "projections",
    reads=("map",),
    section="bias",
    caption="Projections of the prompts on the bias axis, by group. The spread of the neutral "
    "prompts beyond that of the objects is what the occupation alone implies about gender.",
    alt="Histograms of the projection on the bias axis, one outline a group of prompts.",
)
def _projections(files: RunFiles) -> Drawing:
    data = files.table("map")[["prompt", "group", "subject", "projection"]]
    scores = {
        group: data.loc[data["group"] == group, "projection"].to_numpy(float)
        for group in group_order(data["group"])
    }
    return projection_histogram(scores), data


@run_figure(
    "bias_score",
    reads=("subjects", "fit"),
    section="bias",
    caption="Bias score of each occupation in the text encoder (mean over its neutral prompts, "
    "positive towards men) against women's share in the labour market. A negative r means that "
    "the encoder repeats the labour market.",
    alt="Scatter plot of bias score against labour share with a regression line.",
)
def _bias_score(files: RunFiles) -> Drawing:
    data = files.table("subjects")[["subject", "split", "share_women", "bias_score"]]
    data = data[data["share_women"].notna()]
    found = files.json("fit")["share_correlation"]
    return bias_score_against_share(data, interval=(found["low"], found["high"])), data


@run_figure(
    "bias_score_shift",
    reads=("gate",),
    section="shift",
    caption="Bias score after the correction against bias score before. On the diagonal a prompt "
    "is unchanged, on the horizontal axis its bias score is 0; in the shaded quadrants its bias "
    "score has changed sign.",
    alt="Scatter plot of bias scores after against before, with shaded quadrants.",
)
def _bias_score_shift(files: RunFiles) -> Drawing:
    data = files.table("gate")[
        ["prompt", "group", "subject", "split", "bias_score", "bias_score_corrected"]
    ]
    return bias_score_shift(data), data


def _distance_from_middle(x: Vector, y: Vector) -> Vector:
    scale_x, scale_y = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    distance: Vector = np.hypot((x - x.mean()) / scale_x, (y - y.mean()) / scale_y)
    return distance
