"""The gate on challenge prompts: by category, confusion and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.gate import GATES as GATE_TITLES
from figures.gate import gate_confusion
from figures.marks import draw_values, legend_below
from figures.registry import run_figure, table_figure
from figures.sources import RunFiles, add_source
from figures.style import COLUMN, DARK, GREY, StyledFigure, set_title, styled
from probe.stats.notation import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

GATES = {
    "trained": ("trained gate", "o", DARK),
    "closed": ("closed form", "s", GREY),
}
"""Name, marker and colour of each gate."""
SETS = {"seen": ("seen in development", "o"), "fresh": ("fresh", "s"), "blind": ("blind", "^")}
"""Title and marker of each set of prompts, see `probe.text.challenge_prompts.CHALLENGES`."""


@table_figure(
    "challenge",
    reads=add_source("categories", path="moesd/categories.parquet"),
    caption="Prompts that were built to be hard, by category (number of prompts): share that each "
    "gate classifies correctly, with 95 % intervals over templates. They are in no training set "
    "of a gate, and nothing was chosen on the blind set; the data has the other sets. The class of "
    "explicit prompts and of those without a person is known by construction, that of the others "
    "by their bias score.",
    alt="Dot plot of shares with intervals, one row a category, two gates.",
)
@styled
def challenge_categories(table: DataFrame) -> Figure:
    """Draw the share of prompts that each gate classifies correctly, by category.

    Of the sets of `SETS`, the one that least was chosen on is shown.
    """
    rows = table[table["measure"] == "class"]
    shown = [of for of in SETS if (rows["set"] == of).any()][-1]
    rows = rows[rows["set"] == shown].assign(name=rows["category"].str.split(": ").str[-1])
    counts = rows.drop_duplicates("name").set_index("name")["n"]
    height = {name: at for at, name in enumerate(sorted(counts.index, key=lambda of: of == "hard"))}
    size = (COLUMN[0], 1.0 + 0.2 * len(height))
    figure = StyledFigure(figsize=size, layout="constrained")
    axes, shares = figure.subplots(), []
    for offset, (gate, (label, marker, color)) in zip((0.16, -0.16), GATES.items(), strict=True):
        of = rows[rows["gate"] == gate]
        at = of["name"].map(height).to_numpy(float) + offset
        style = {"color": color, "marker": marker, "label": label}
        draw_values(axes, at, of, is_horizontal=True, **style)
        share = of.loc[of["name"] == "hard", "value"]
        shares.append(f"{label} {percent(float(share.mean()), 0)}")
    names = ["all" if name == "hard" else name for name in height]
    names = [f"{name} ({n})" for name, n in zip(names, counts[list(height)], strict=True)]
    axes.set_yticks(list(height.values()), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="share classified correctly", xlim=(-0.03, 1.03))
    legend_below(figure, axes)
    which = SETS[shown][0]
    set_title(figure, f"Hard prompts classified correctly ({which}): {', '.join(shares)}")
    return figure


@styled
def reliability_and_roc(bins: DataFrame, curve: DataFrame) -> Figure:
    """Draw the calibration of the gate's probabilities and their ROC curve.

    A bin has ``probability, right, low, high``, a point of the curve ``false_alarms`` and ``hits``.
    """
    figure = StyledFigure(figsize=(COLUMN[0], 2.25), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    color = DARK
    draw_values(left, bins["probability"], bins.rename(columns={"right": "value"}), color=color)
    left.set(xlabel="probability of the\npredicted class", ylabel="share of prompts\nin that class")
    right.step(curve["false_alarms"], curve["hits"], where="post", color=color)
    area = float(np.trapezoid(curve["hits"], curve["false_alarms"]))
    set_title(figure, f"Area under the ROC curve of the trained gate: {area:.3f}")
    right.set(xlabel="false positive rate", ylabel="true positive rate")
    return figure


@run_figure(
    "challenge_confusion",
    reads=(add_source("challenge", path="moesd/challenge.parquet"),),
    caption="Confusion of the two gates on the challenge prompts, in prompts.",
    alt="Two confusion matrices with counts.",
)
def _challenge_confusion(files: RunFiles) -> Drawing:
    data = files.table("challenge")
    return gate_confusion(data, routes=GATE_TITLES), data


@run_figure(
    "challenge_calibration",
    reads=(
        add_source("reliability", path="moesd/reliability.parquet"),
        add_source("roc", path="moesd/roc.parquet"),
    ),
    caption="The trained gate on the challenge prompts. Left: share of prompts in the predicted "
    "class against its probability, by bin, with 95 % intervals. Right: ROC curve of correcting a "
    "prompt, by threshold.",
    alt="A reliability diagram beside an ROC curve.",
)
def _challenge_calibration(files: RunFiles) -> Drawing:
    bins = files.table("reliability")
    return reliability_and_roc(bins, files.table("roc")), bins
