"""Bias scores and projections: by group, against the labour market, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from figures.arrows import arrow_panels
from figures.marks import group_order, legend_below, name_points, strip
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import (
    COLUMN,
    DARK,
    GREY,
    GROUP_MARKERS,
    StyledFigure,
    colors_for,
    set_title,
    styled,
)
from probe.stats.notation import bracketed
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from figures.registry import Drawing
    from probe.arrays import Vector

N_NAMES = 12
"""Occupations that are named."""
SIGNS = "(female \N{MINUS SIGN} / male +)"


@styled
def projection_strips(scores: Mapping[str, Vector]) -> Figure:
    """Draw the signed projections on the bias axis, a strip of points a group.

    The band is the range of the objects, about which there is nothing gendered to say.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    colors = colors_for(scores)
    for row, (label, values) in enumerate(scores.items()):
        style = {"marker": GROUP_MARKERS.get(label, "D"), "color": colors[label]}
        axes.scatter(values, row + strip(len(values)), s=6, alpha=0.6, linewidth=0, **style)
    names = [f"{label} ({len(values)})" for label, values in scores.items()]
    axes.set_yticks(range(len(scores)), names)
    axes.set(ylim=(len(scores) - 0.5, -0.5), xlabel=f"projection on the bias axis {SIGNS}")
    axes.tick_params(axis="y", length=0)
    objects = scores.get("object", np.zeros(1))
    low, high = objects.min(), objects.max()
    _null_band(axes, low, high)
    neutral = np.asarray(scores.get("neutral", ()), dtype=float)
    n_out = np.count_nonzero((neutral < low) | (neutral > high))
    n = f"{n_out}\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}{len(neutral)}"
    set_title(figure, f"More biased than any object: {n} prompts that state no gender")
    return figure


def _null_band(axes: Axes, low: float, high: float) -> None:
    """Shade the range of the objects on an axis with a bias, and mark its 0."""
    band = {"color": "0.8", "alpha": 0.5, "linewidth": 0, "zorder": -1}
    axes.axvspan(low, high, label="range of objects", **band)
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)


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
    label = f"r = {bracketed(fit.rvalue, *interval, digits=2)}".replace(" ", "\N{NO-BREAK SPACE}")
    repeats = interval[1] < 0 or interval[0] > 0
    follows = "follow" if repeats else "do not measurably follow"
    set_title(figure, f"Bias scores of the text encoder {follows} the labour market: {label}")
    for (split, name), face in zip(SPLIT_NAMES.items(), (GREY, "0.85", "white"), strict=True):
        rows = (subjects["split"] == split).to_numpy()
        if rows.any():
            style = {"color": face, "edgecolor": "0.3", "linewidth": 0.7, "label": name}
            axes.scatter(share[rows], bias_score[rows], s=14, **style)
    ends = np.array([0.0, 1.0])
    axes.plot(ends, fit.intercept + fit.slope * ends, color=DARK, label="least squares")
    axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(
        xlabel="women's share in the labour market",
        ylabel=f"bias score {SIGNS}",
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
    """Draw how the correction moves the mean bias score of each occupation's neutral prompts.

    The band is the range of the prompts about objects; vermilion ends outside it, further out than
    before.
    """
    columns = ["bias_score", "bias_score_corrected"]
    rows = prompts[prompts["group"] == "neutral"].groupby("subject")[columns].mean()
    rows = rows.set_axis(["start", "end"], axis=1).rename_axis("name").reset_index()
    far = rows[["start", "end"]].abs()
    objects = prompts.loc[prompts["group"] == "object", "bias_score"]
    low, high = (objects.min(), objects.max()) if len(objects) else (0.0, 0.0)
    is_out = ~rows[["start", "end"]].apply(lambda of: of.between(low, high))
    rows = rows.assign(is_worse=is_out["end"] & (far["end"] > far["start"] + 1e-9))
    figure, (axes,) = arrow_panels({"": rows}, worse="after, further out")
    _null_band(axes, low, high)
    legend_below(figure, axes)
    axes.set_xlabel(f"bias score {SIGNS}")
    before, after = is_out.sum()
    if len(objects):
        title = f"More biased than any object: {before} of {len(rows)} before, {after} after"
    else:
        before, after = far.mean()
        title = (
            f"Mean size of the bias score: {before:.2f} before the correction, {after:.2f} after"
        )
    set_title(figure, title)
    return figure


@run_figure(
    "projections",
    reads=("map",),
    section="bias",
    caption="Projections of the prompts on the bias axis, one point a prompt, by group (number of "
    "prompts); the height within a group has no meaning. The spread of the neutral prompts beyond "
    "the range of the objects (band) is what the occupation alone implies about gender.",
    alt="Strips of points on the bias axis, one a group of prompts.",
)
def _projections(files: RunFiles) -> Drawing:
    data = files.table("map")[["prompt", "group", "subject", "projection"]]
    scores = {
        group: data.loc[data["group"] == group, "projection"].to_numpy(float)
        for group in group_order(data["group"])
    }
    return projection_strips(scores), data


@run_figure(
    "bias_score",
    reads=("subjects", "fit"),
    section="bias",
    caption="Bias score of each occupation in the text encoder (mean over its neutral prompts, "
    "positive towards men) against women's share in the labour market, with the least-squares "
    "line and Pearson's r [95 % interval over occupations]. A negative r means that the encoder "
    "repeats the labour market.",
    alt="Scatter plot of bias score against labour share with a regression line.",
)
def _bias_score(files: RunFiles) -> Drawing:
    data = files.table("subjects")[["subject", "split", "share_women", "bias_score"]]
    data = data[data["share_women"].notna()]
    found = files.json("fit")["share_correlation"]
    return bias_score_against_share(data, interval=(found["low"], found["high"])), data


@run_figure(
    "shift",
    reads=("gate",),
    section="bias",
    caption="Bias score of each occupation in the text encoder (mean over its neutral prompts), "
    "before the correction (circle) and after it (arrow head). The band is the range of prompts "
    "about objects. Vermilion: outside that range, and further from 0 than before.",
    alt="An arrow for each occupation from its bias score before to its bias score after.",
)
def _shift(files: RunFiles) -> Drawing:
    data = files.table("gate")[
        ["prompt", "group", "subject", "split", "bias_score", "bias_score_corrected"]
    ]
    return bias_score_shift(data), data


def _distance_from_middle(x: Vector, y: Vector) -> Vector:
    scale_x, scale_y = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    distance: Vector = np.hypot((x - x.mean()) / scale_x, (y - y.mean()) / scale_y)
    return distance
