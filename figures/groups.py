"""Figures of an audit by groups: their MAD below one another, or along a numeric setting."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.drawing import write_image
from figures.marks import draw_ends, draw_values, legend_below
from figures.style import COLUMN, DARK, FREE_COLORS, GREY, StyledFigure, set_title, styled
from probe.io.artifacts import Provenance, hash_parts
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

MARKERS = "osD^v"

_NAME = 22  # letters of a name in a line


def write_groups_figure(path: Path, found: Mapping[str, Any], *, seed: int = 0) -> None:
    """Write the figure of an audit by groups, as ``audit --by --json`` prints it, to one file.

    It is `mad_along` where the groups lie along a numeric column, else `mad_forest`, as PDF, PNG or
    SVG by the suffix.
    """
    rows = group_rows(found)
    figure = mad_along(rows, setting=found["along"]) if "along" in found else mad_forest(rows)
    made_from = hash_parts(rows.to_json())
    write_image(path, figure, Provenance("figure", found["source"], "", seed, made_from))


def group_rows(found: Mapping[str, Any]) -> DataFrame:
    """Give a row a group of an audit by groups: its name, and MAD with interval and noise floor.

    Columns ``group, value, low, high, floor``; along a numeric column also ``series``, the name of
    the other columns' values, and ``at``, the number.
    """
    import pandas as pd

    kept = ("value", "low", "high", "floor")
    return pd.DataFrame(
        {name: of[name] for name in ("group", "series", "at") if name in of}
        | {name: of["mad"][name] for name in kept}
        for of in found["groups"]
    )


@styled
def mad_forest(rows: DataFrame) -> Figure:
    """Draw MAD with its interval for each of several groups (columns of `group_rows`).

    The tick is the noise floor: MAD of a fair model with as many images.
    """
    names = [textwrap.fill(name, _NAME) for name in rows["group"]]
    n_lines = max(name.count("\n") + 1 for name in names)
    height = 1.05 + (0.1 + 0.1 * n_lines) * len(rows)
    figure = StyledFigure(figsize=(COLUMN[0], height), layout="constrained")
    axes, at = figure.subplots(), np.arange(len(rows))
    draw_values(axes, at, rows, color=DARK, label="MAD, 95 % interval", is_horizontal=True)
    tick = {"marker": "|", "s": 40, "color": GREY, "linewidth": 1.2}
    axes.scatter(rows["floor"], at, label="noise floor", **tick)
    axes.set(xlabel="MAD", xlim=(0, None), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(at, names)
    axes.tick_params(axis="y", length=0)
    legend_below(figure, axes)
    ends = (rows.loc[of] for of in (rows["value"].idxmin(), rows["value"].idxmax()))
    texts = [f"{number(of['value'])} ({of['group']})" for of in ends]
    set_title(figure, f"MAD from {' to '.join(texts)}")
    return figure


@styled
def mad_along(rows: DataFrame, *, setting: str) -> Figure:
    """Draw MAD with its interval against a numeric setting, a line a series (see `group_rows`).

    Lines are moved apart by a few points, so that no interval hides another.
    """
    series = dict(list(rows.groupby("series", sort=False)))
    height = COLUMN[1] + 0.09 * len(series)
    figure = StyledFigure(figsize=(COLUMN[0], height), layout="constrained")
    axes, shifts = figure.subplots(), np.linspace(-3, 3, len(series)).tolist()
    for (name, of), shift, color, marker in zip(
        series.items(), shifts, cycle(FREE_COLORS), cycle(MARKERS), strict=False
    ):
        style = {"color": color, "marker": marker, "label": textwrap.fill(name, _NAME) or "MAD"}
        draw_ends(axes, of["at"].to_numpy(), of, shift=shift, **style)
    style = {"color": GREY, "linewidth": 0.8, "linestyle": ":"}
    axes.axhline(rows["floor"].mean(), label="noise floor", **style)
    axes.set(xlabel=setting, ylabel="MAD", ylim=(0, None), xticks=sorted(set(rows["at"])))
    axes.xaxis.set_major_formatter("{x:g}")
    legend_below(figure, axes, n_columns=2)
    ends = [of["value"].iloc[[0, -1]].tolist() for of in series.values() if len(of) > 1]
    n_higher = sum(last > first for first, last in ends)
    set_title(figure, f"MAD is higher at the highest {setting} in {n_higher} of {len(ends)} series")
    return figure
