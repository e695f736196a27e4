"""Figures of the studies of a text encoder: estimators, associations, erasers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Normalize

from figures.marks import draw_heat, legend_below
from figures.registry import table_figure
from figures.sources import add_source
from figures.style import (
    COLUMN,
    DARK,
    EFFECT_COLORS,
    GREY,
    OKABE_ITO,
    StyledFigure,
    set_title,
    styled,
)
from probe.stats.notation import number, p_value, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PROBES = {
    "linear": ("gender, linear probe", "o", DARK),
    "nearest": ("gender, nearest neighbour", "s", GREY),
    "clusters_accuracy": ("bias, clusters", "D", OKABE_ITO["purple"]),
    "kept_occupation": ("occupation, linear probe", "^", OKABE_ITO["green"]),
}
"""Column of an accuracy, its name, marker and colour; the first three should fall to chance."""


@table_figure(
    "estimators",
    reads=add_source("directions"),
    caption="Left: correlation of the occupations' bias scores with the share of women, by "
    "estimator of the bias axis, with 95 % intervals over occupations. Right: cosines between the "
    "axes.",
    alt="Dot plot of correlations by estimator beside a table of cosines.",
)
@styled
def estimator_agreement(table: DataFrame) -> Figure:
    """Draw each estimator's correlation with the labour shares, and the cosines ``cosine_NAME``."""
    import pandas

    names = table["estimator"].tolist()
    size = (COLUMN[0], 1.1 + 0.32 * len(names))
    figure = StyledFigure(figsize=size, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    cosines = table[[f"cosine_{name}" for name in names]].to_numpy(float)
    grid = pandas.DataFrame(cosines, index=names, columns=names)[::-1]  # rows are drawn upwards
    draw_heat(right, grid, colors=EFFECT_COLORS, norm=Normalize(-1, 1))
    right.set_title("cosine of the axes")
    height = np.arange(len(names))[::-1] + 0.5
    left.hlines(height, table["correlation_low"], table["correlation_high"], color=GREY)
    left.scatter(table["correlation"], height, color=DARK, s=16, zorder=3)
    left.set(yticks=height, yticklabels=names, xlabel="r with share of women")
    left.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    left.tick_params(axis="y", length=0)
    least, most = number(cosines.min(), 2), number(table["correlation"].abs().max(), 2)
    r = f"|r| is {number(table['correlation'].abs().min(), 2)} to {most}"
    set_title(figure, f"Bias axes by different estimators have cosines of at least {least}; {r}")
    return figure


@table_figure(
    "association",
    reads=add_source("association"),
    caption="Association of occupations with the genders, with 95 % intervals over the units in "
    "the titles and p-values adjusted by Holm's method; the line is no association. WEAT: "
    "occupations held mostly by men against those held mostly by women, in standard deviations. "
    "RND (distance), ECT (rank correlation; 1 is none) and RIPA (inner product): male against "
    "female prompts, all occupations.",
    alt="One panel a measure: a point with its interval and the line of no association.",
)
@styled
def association_measures(table: DataFrame) -> Figure:
    """Draw each measure with its interval, one panel a measure, as their units differ."""
    n_rows = len(table)
    figure = StyledFigure(figsize=(COLUMN[0], 0.5 + 0.68 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, squeeze=False)[:, 0]
    for axes, row in zip(panels, table.itertuples(), strict=True):
        arms = [[row.value - row.low], [row.high - row.value]]
        axes.errorbar([row.value], [0], xerr=arms, fmt="o", color=DARK, markersize=4, capsize=2)
        none = 1.0 if row.measure == "ECT" else 0.0
        axes.axvline(none, color="0.6", linewidth=0.8, zorder=0)
        axes.margins(x=0.15)
        axes.set(yticks=[], title=f"{row.measure}: {p_value(row.p_holm)}, {row.n} {row.unit}")
        axes.spines["left"].set_visible(False)
    found = table[table["p_holm"] <= 0.05]
    n = f"{len(found)} of {len(table)}"
    set_title(figure, f"Measures with an association of gender beyond chance (Holm): {n}")
    return figure


_OF_ENCODERS = {
    "gap": "gap of male and female prompts",
    "correlation": "r of bias score with share of women",
    "r2": "R2 of the images of validation occupations",
}


@table_figure(
    "encoders",
    reads=add_source("encoders"),
    caption="The text encoders of the model, each with its own bias axis. The gap is the "
    "largest of all layers, at the occupation or the end; R2 is of the shares in the images. 95 % "
    "intervals over occupations.",
    alt="One panel a measure: a point with its interval for each text encoder.",
)
@styled
def text_encoders(table: DataFrame) -> Figure:
    """Draw each measure of each encoder with its interval."""
    names = [name for name in _OF_ENCODERS if (table["measure"] == name).any()]
    encoders = table["encoder"].unique().tolist()
    size = (COLUMN[0], 0.5 + len(names) * (0.5 + 0.22 * len(encoders)))
    figure = StyledFigure(figsize=size, layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        rows = table[table["measure"] == name].set_index("encoder")
        height, label = list(map(encoders.index, rows.index)), _OF_ENCODERS[name]
        axes.hlines(height, rows["low"], rows["high"], color=GREY)
        axes.scatter(rows["value"], height, color=DARK, s=16, zorder=3)
        axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        axes.set(yticks=range(len(encoders)), yticklabels=encoders, xlabel=label)
        axes.invert_yaxis()
    most = rows["value"].abs()
    set_title(figure, f"Largest {label}: {most.idxmax()}, {number(most.max(), 2)}")
    return figure


@table_figure(
    "erasure",
    reads=add_source("erasure"),
    caption="Gender that can be predicted from the explicit prompts after each eraser, by probes "
    "fitted on other rows than the eraser; whether neutral prompts still cluster by their bias; "
    "and how well the occupation can be predicted. 95 % intervals over occupations.",
    alt="Dot plot of accuracies, one row an eraser.",
)
@styled
def erasers(table: DataFrame) -> Figure:
    """Draw how well gender and occupation can be predicted after each eraser."""
    figure = StyledFigure(figsize=(COLUMN[0], 1.4 + 0.32 * len(table)), layout="constrained")
    axes = figure.subplots()
    shift = np.linspace(-0.24, 0.24, len(PROBES))
    for (column, (label, marker, color)), offset in zip(PROBES.items(), shift, strict=True):
        stem = column.removesuffix("_accuracy")
        height = np.arange(len(table)) + offset
        axes.hlines(height, table[f"{stem}_low"], table[f"{stem}_high"], color=color, alpha=0.6)
        axes.scatter(table[column], height, color=color, marker=marker, s=16, label=label, zorder=3)
    axes.axvline(float(table["chance"].iloc[0]), color="0.6", linestyle="--", linewidth=0.8)
    axes.set_yticks(np.arange(len(table)), table["eraser"])
    axes.set(xlabel="accuracy (dashed: chance for gender)", xlim=(-0.02, 1.02))
    axes.invert_yaxis()
    legend_below(figure, axes, n_columns=2)
    erased = table[table["eraser"] != "none"]
    least, near = (percent(erased[probe].min(), 0) for probe in ("linear", "nearest"))
    chance = percent(table["chance"].iloc[0], 0)
    text = f"at least {least} by a linear probe, {near} by neighbours (chance {chance})"
    set_title(figure, f"Gender after erasing, accuracy: {text}")
    return figure
