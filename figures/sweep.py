"""The figure of a sweep: fairness against the one setting that varies, or against the budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from figures.drawing import write_table_figure
from figures.marks import draw_ends, legend_below, name_points
from figures.style import (
    COLUMN,
    DARK,
    GREY,
    OKABE_ITO,
    SIDE_COLORS,
    SIDE_LABELS,
    StyledFigure,
    set_title,
    styled,
)
from probe.io.artifacts import read_table
from probe.run.sweep import scored_figure
from probe.stats.notation import number
from probe.text.lexicon import SPLIT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

    from probe.arrays import Vector

CAPTION = (
    "Corrections trained with one setting or several varied, scored on the same prompts and noise: "
    "unfairness (MAD; the dotted line is a fair model's), adherence to explicit prompts and "
    "recognition of the occupation, with 95 % intervals over occupations."
)
SHIFTS = {("base", 0): -2.4, ("base", 1): -0.8, ("moesd", 0): 0.8, ("moesd", 1): 2.4}
"""Points by which what belongs to one place is moved apart, so that no interval hides another."""
LEAST_SHARE = 0.9
"""Where the axis of shares begins at the latest, so that one image of a thousand makes no cliff."""


def draw_sweep(run: Path, name: str) -> list[Path]:
    """Write ``run/figures/sweeps/NAME`` as PDF and PNG, with its data as CSV."""
    path = Path(run) / "sweeps" / name / "sweep.parquet"
    table, made = read_table(path, kind="sweep")
    settings = _settings(table)
    draw = sweep_curve if len(settings) == 1 else sweep_front
    target = Path(run) / "figures" / "sweeps" / name
    return write_table_figure(target, draw(table), table, path, made, caption=CAPTION)


@styled
def sweep_curve(table: DataFrame) -> Figure:
    """Draw fairness and what it costs against the one setting that varies.

    Above: MAD of the base model and of the corrected one, with intervals, for occupations trained
    on and those of the split that is scored, and the noise floor. Below: what is followed and
    recognised. ``table`` has a row for each variant, side and figure, as
    `probe.run.sweep.run_sweep` writes it.
    """
    (setting,) = _settings(table)
    figure = StyledFigure(figsize=(COLUMN[0], 4.2), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 2), sharex=True)
    places = _places(upper, table[setting])
    is_ordered = not _are_names(table[setting])
    for side, name in SIDE_LABELS.items():
        groups = zip(("mad_train", scored_figure(table)), "os", ("-", "--"), strict=True)
        for place, (mad, marker, line) in enumerate(groups):
            found, label = _rows(table, name, mad), SPLIT_NAMES[mad.removeprefix("mad_")]
            drawn = line if is_ordered else "none"
            style = {"color": SIDE_COLORS[side], "marker": marker, "linestyle": drawn}
            style |= {"markerfacecolor": "white"} if side == "base" else {}
            style |= {"label": f"{name}, {label}"}
            draw_ends(upper, places, found, shift=SHIFTS[side, place], **style)
    floor = table.loc[table["figure"] == "mad", "floor"].min()
    chance = {"linestyle": ":", "label": "a fair model, by chance"}
    upper.axhline(floor, color=GREY, linewidth=0.6, **chance)
    upper.set(ylabel="MAD", ylim=(0, None))
    for name, label, marker, color, shift in (
        ("subject_recognised", "occupation recognised", "^", DARK, -1.2),
        ("explicit_adherence", "explicit followed", "D", OKABE_ITO["purple"], 1.2),
    ):
        found, drawn = _rows(table, "corrected", name), "-" if is_ordered else "none"
        style = {"color": color, "marker": marker, "linestyle": drawn}
        draw_ends(lower, places, found, shift=shift, label=label, **style)
    least = min(LEAST_SHARE, lower.get_ylim()[0])
    limits = (least, 1 + 0.04 * (1 - least))
    lower.set(ylabel="share, corrected", xlabel=_title(setting), ylim=limits)
    legend_below(figure, upper, lower, n_columns=2)
    _say_least(figure, table, setting)
    return figure


@styled
def sweep_front(table: DataFrame) -> Figure:
    """Draw fairness against the number of trained weights, and the Pareto front.

    A filled point is on the front: no other variant has at most as many weights and at most its
    MAD. Whiskers are intervals; the dashed line is the base model.
    """
    figure = StyledFigure(figsize=(COLUMN[0], 3.2), layout="constrained")
    axes = figure.subplots()
    scored = scored_figure(table)
    rows = _rows(table, "corrected", scored).sort_values("n_trainable", kind="stable")
    weights = rows["n_trainable"].to_numpy(float)
    if weights.max() >= 10 * weights.min():
        axes.set_xscale("log")
    axes.vlines(weights, rows["low"], rows["high"], color="0.8", linewidth=0.8, zorder=1)
    front = rows[rows["on_front"]]
    color = SIDE_COLORS["moesd"]
    axes.step(front["n_trainable"], front["value"], where="post", color=color, zorder=2)
    faces = np.where(rows["on_front"], color, "white")
    axes.scatter(weights, rows["value"], facecolor=faces, edgecolor=color, s=22, zorder=3)
    before = float(_rows(table, "base", scored)["value"].mean())
    axes.axhline(before, color=SIDE_COLORS["base"], linestyle="--", label="base")
    axes.set(
        xlabel="trained weights",
        ylabel=f"MAD, {SPLIT_NAMES[scored.removeprefix('mad_')]}, corrected",
        ylim=(0, 1.08 * before),
    )
    names = zip(front["n_trainable"], front["value"], front["variant"], strict=True)
    x, y = front["n_trainable"].to_numpy(float), front["value"].to_numpy()
    on_line = [
        (at, height)
        for start, end, height in zip(x[:-1], x[1:], y[:-1], strict=True)
        for at in np.geomspace(start, end, 40)
    ]
    others = list(zip(weights, rows["value"], strict=True))
    name_points(axes, list(names), others=others, obstacles=on_line)
    axes.legend(loc="lower right")
    _say_least(figure, table, "variant")
    return figure


def _say_least(figure: Figure, table: DataFrame, column: str) -> None:
    scored = scored_figure(table)
    rows, before = (_rows(table, side, scored) for side in ("corrected", "base"))
    least = rows.loc[rows["value"].idxmin()]
    name = f"{_title(column)} {least[column]}" if "." in column else str(least[column])
    text = f"Lowest MAD ({SPLIT_NAMES[scored.removeprefix('mad_')]}) of {len(rows)} variants"
    base = f"base model {number(before['value'].mean())}"
    set_title(figure, f"{text}: {number(least['value'])}, with {name}; {base}")


def _settings(table: DataFrame) -> list[str]:
    """The columns of what varies, ``stage.setting``; the first if there is one variant only."""
    columns = [str(column) for column in table if "." in str(column)]
    return [column for column in columns if table[column].nunique() > 1] or columns[:1]


def _rows(table: DataFrame, side: str, figure: str) -> DataFrame:
    return table[(table["side"] == side) & (table["figure"] == figure)]


def _title(setting: str) -> str:
    return setting.split(".")[1].replace("n_", "number of ").replace("_", " ")


def _are_names(column: Series) -> bool:
    """Whether the values of a setting have no order: words, switches and seeds."""
    is_number = all(isinstance(of, int | float) and not isinstance(of, bool) for of in column)
    return not is_number or str(column.name).endswith("seed")


def _places(axes: Axes, column: Series) -> Vector:
    """Places of the values of a setting on the x axis: by size unless they are names or seeds."""
    values = list(dict.fromkeys(column))
    if _are_names(column):
        places = np.arange(len(values), dtype=float)
        axes.set_xticks(places, [str(value) for value in values])
        axes.set_xlim(-0.5, len(values) - 0.5)
        return places
    places = np.array(values, dtype=float)
    if places.min() > 0 and places.max() >= 10 * places.min():
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{value:g}" for value in places])
        axes.minorticks_off()
    elif len(places) <= 6:
        axes.set_xticks(places)
    return places
