"""Predicted shares of a gender, from the text or from the denoiser, against those observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.marks import legend_below, name_points
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import COLUMN, DARK, GREY, StyledFigure, set_title, styled
from probe.stats.notation import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@table_figure(
    "mixture",
    reads=add_source("mixture"),
    caption="Share of women, or of each value of what is corrected, in the base model's images "
    "against the share estimated from its denoiser before any image is made: the weight with which "
    "its predictions under the explicit prompts mix into the one under the neutral prompt at pure "
    "noise. Nothing is fitted to images. Bars: 95 % intervals of the observed shares.",
    alt="Scatter plot of observed against estimated shares with the diagonal.",
)
@styled
def denoiser_shares(table: DataFrame) -> Figure:
    """Draw the observed shares against those estimated from the denoiser."""
    values = table["value"].unique()
    what = "women" if [*values] == ["female"] else values[0] if len(values) == 1 else "each value"
    if len(values) > 1:
        table = table.assign(name=table["subject"] + ", " + table["value"])
    how = "estimated from the denoiser"
    return _against_observed(table, "read", how, table, "training occupations", what=what)


@table_figure(
    "prediction",
    reads=add_source("prediction"),
    caption="Share of women in the base model's images against the share predicted from the bias "
    "score of the text alone, fitted on the training occupations. Bars: 95 % prediction intervals "
    "of the occupations never seen.",
    alt="Scatter plot of observed against predicted shares with the diagonal.",
)
@styled
def predicted_shares(table: DataFrame) -> Figure:
    """Draw the observed share of women against the share predicted from the text."""
    unseen = table[table["split"] == "test"]
    return _against_observed(table, "predicted", "predicted from the text", unseen, "fitted on")


def _against_observed(
    table: DataFrame,
    x: str,
    how: str,
    with_interval: DataFrame,
    trained: str,
    *,
    what: str = "women",
) -> Figure:
    """Draw ``share`` against the column ``x``, with intervals and names of some rows."""
    label = f"share of {what} {how}"
    figure = StyledFigure(figsize=(COLUMN[0], COLUMN[0]), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
    for split, color, face, name in (
        ("train", GREY, GREY, trained),
        ("validation", GREY, "0.85", "validation"),
        ("test", DARK, "white", "never seen"),
    ):
        bars = with_interval[with_interval["split"] == split]
        axes.vlines(bars[x], bars["low"], bars["high"], color=color, alpha=0.4)
        rows = table[table["split"] == split]
        axes.scatter(
            rows[x], rows["share"], color=face, edgecolor=color, s=14, label=name, zorder=3
        )
    axes.set(xlabel=label, ylabel=f"share of {what} in the images")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    parts = np.linspace(0.0, 1.0, 40)
    on_bars = [
        (at, low + part * (high - low))
        for at, low, high in with_interval[[x, "low", "high"]].itertuples(index=False)
        for part in parts
    ]
    name_points(
        axes,
        with_interval[[x, "share", "name" if "name" in table else "subject"]].itertuples(
            index=False
        ),
        obstacles=on_bars + table[[x, "share"]].to_numpy(float).tolist(),
    )
    legend_below(figure, axes)
    off = 100 * (with_interval[x] - with_interval["share"]).abs().mean()
    text = f"{label.capitalize()}: off by {counted(round(off), 'points')} on average"
    set_title(figure, f"{text} for {with_interval['subject'].nunique()} occupations")
    return figure
