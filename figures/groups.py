"""Figures of an audit: MAD of groups, MAD along a numeric setting, who gets which role."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.drawing import write_image
from figures.marks import draw_ends, draw_values, legend_below
from figures.style import COLUMN, DARK, FREE_COLORS, GREY, StyledFigure, set_title, styled
from probe.io.artifacts import Provenance, hash_parts
from probe.stats.notation import interval, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

_MARKERS = "osD^v"
_OUTCOMES = (FREE_COLORS[1], "#D9D9D9", "#BDBDBD", FREE_COLORS[0])
_NAME = 22  # letters of a name in a line


def write_groups_figure(path: Path, found: Mapping[str, Any]) -> None:
    """Write the figure of what ``audit --json`` prints with ``--pairs`` or ``--by``."""
    if "pairs" in found:
        figure, made_from = who_gets_which_role(found), hash_parts(repr(found["pairs"]))
    else:
        rows = group_rows(found)
        figure = mad_along(rows, setting=found["along"]) if "along" in found else mad_forest(rows)
        made_from = hash_parts(rows.to_json())
    write_image(path, figure, Provenance("figure", found["source"], "", None, made_from))


def group_rows(found: Mapping[str, Any]) -> DataFrame:
    """Give each group a row: ``group``, and MAD's ``value, low, high, floor``.

    Along a numeric column also ``at``, the number, and ``series``, the other columns' values.
    """
    import pandas as pd

    columns = ["group", "series", "at", "value", "low", "high", "floor"]
    return pd.DataFrame([of["mad"] | of for of in found["groups"]], columns=columns)


@styled
def mad_forest(rows: DataFrame) -> Figure:
    """Draw MAD with its interval for each of several groups (columns of `group_rows`).

    The tick is the noise floor: MAD of a fair model with as many images.
    """
    names = [textwrap.fill(name, _NAME) for name in rows["group"]]
    row = 0.2 + 0.1 * max(name.count("\n") for name in names)
    figure = StyledFigure(figsize=(COLUMN[0], 1.05 + row * len(rows)), layout="constrained")
    axes, at = figure.subplots(), np.arange(len(rows))
    draw_values(axes, at, rows, color=DARK, label="MAD, 95 % interval", is_horizontal=True)
    axes.scatter(rows["floor"], at, s=40, marker="|", color=GREY, label="noise floor")
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
    figure = StyledFigure(figsize=(COLUMN[0], 2.7 + 0.09 * len(series)), layout="constrained")
    axes, middle = figure.subplots(), (len(series) - 1) / 2
    for place, (name, of) in enumerate(series.items()):
        color, marker = FREE_COLORS[place % len(FREE_COLORS)], _MARKERS[place % len(_MARKERS)]
        look = {"color": color, "marker": marker, "label": textwrap.fill(name, _NAME) or "MAD"}
        draw_ends(axes, of["at"], of, shift=1.5 * (place - middle), **look)
    axes.axhline(rows["floor"].mean(), color=GREY, linestyle=":", label="noise floor")
    axes.set(xlabel=setting, ylabel="MAD", ylim=(0, None), xticks=sorted(set(rows["at"])))
    axes.xaxis.set_major_formatter("{x:g}")
    legend_below(figure, axes, n_columns=2)
    ends = [of["value"].iloc[[0, -1]].tolist() for of in series.values() if len(of) > 1]
    n_higher = sum(last > first for first, last in ends)
    set_title(figure, f"MAD is higher at the highest {setting} in {n_higher} of {len(ends)} series")
    return figure


@styled
def who_gets_which_role(found: Mapping[str, Any]) -> Figure:
    """Draw the shares of outcomes of each pair; the line is the interval of the stereotype's."""
    import pandas as pd

    pairs = found["pairs"]
    names = [f"{of['pair']} ({of['n']})" for of in pairs]
    shares = pd.DataFrame([of["shares"] for of in pairs], index=names)
    figure = StyledFigure(figsize=(COLUMN[0], 1.3 + 0.26 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    percent = shares.map(lambda share: 100 * share["value"])
    percent.plot.barh(stacked=True, ax=axes, color=_OUTCOMES, width=0.62, legend=False)
    low, high = ([100 * of[key] for of in shares["stereotype"]] for key in ("low", "high"))
    axes.hlines(range(len(pairs)), low, high, color=DARK, linewidth=1.2)
    axes.set(xlabel="images (%)", xlim=(0, 100), ylim=(len(pairs) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    legend_below(figure, axes, n_columns=2)
    net = interval(found["net"], 2) or number(pairs[0]["net"], 2)
    set_title(figure, f"Net stereotype {net}")
    return figure
