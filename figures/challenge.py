"""Figures of the gate's challenge: by category, how far its probabilities hold, by specificity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.marks import legend_below
from figures.style import COLUMN, GREY, MIDDLE, OKABE_ITO, WIDE, StyledFigure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

GATES = {
    "trained": ("trained gate", "o", OKABE_ITO["blue"]),
    "closed": ("closed form", "s", OKABE_ITO["orange"]),
}
"""Name, marker and colour of each gate."""
SETS = {"seen": ("seen while building", "o"), "fresh": ("fresh", "s"), "blind": ("blind", "^")}
"""Title and marker of each set of prompts, see `probe.text.challenge_prompts.CHALLENGES`."""
LEVEL_PANELS = {
    "opened": "share of prompts corrected",
    "shift": "shift of the embedding",
    "bias_score_left": "bias score left (1: nothing done)",
}


@styled
def challenge_categories(table: DataFrame) -> Figure:
    """Draw the share of prompts whose class each gate names rightly, by set and category.

    Parameters
    ----------
    table : DataFrame
        One row a ``set``, ``category``, ``gate`` and ``measure``: ``value, low, high, n``. Drawn is
        the measure ``class``. The lexicon's own prompts stand with the set that was seen.
    """
    rows = table[table["measure"] == "class"]
    rows = rows.assign(
        panel=rows["set"].where(rows["set"].isin(list(SETS)), "seen"),
        name=rows["category"].str.split(": ").str[-1],
    )
    names = sorted(dict.fromkeys(rows["name"]), key=lambda name: name != "hard")
    panels = [of for of in SETS if (rows["panel"] == of).any()]
    figure = StyledFigure(
        figsize=(WIDE[0], max(COLUMN[1], 0.9 + 0.24 * len(names))), layout="constrained"
    )
    height = {name: at for at, name in enumerate(reversed(names))}
    drawn = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axes, panel in zip(drawn, panels, strict=True):
        of_panel = rows[rows["panel"] == panel]
        for offset, (gate, (label, marker, color)) in zip(
            (0.13, -0.13), GATES.items(), strict=True
        ):
            of = of_panel[of_panel["gate"] == gate]
            at = of["name"].map(height).to_numpy(float) + offset
            axes.hlines(at, of["low"], of["high"], color=color, linewidth=1.0)
            axes.scatter(of["value"], at, marker=marker, color=color, s=16, label=label, zorder=3)
        for name, n in of_panel.drop_duplicates("name").set_index("name")["n"].items():
            axes.annotate(
                str(n), (1.07, height[name]), va="center", fontsize="x-small", color=GREY,
                annotation_clip=False,
            )  # fmt: skip
        axes.set(xlabel="share given their class", xlim=(-0.03, 1.03), title=SETS[panel][0])
        axes.tick_params(axis="y", length=0)
    drawn[0].set_yticks(
        list(height.values()), ["all hard ones" if name == "hard" else name for name in height]
    )
    legend_below(figure, drawn[0])
    return figure


@styled
def reliability_and_roc(bins: DataFrame, curve: DataFrame) -> Figure:
    """Draw whether the gate's probabilities are what they say, and how well they part prompts.

    Parameters
    ----------
    bins : DataFrame
        One row a bin: ``probability, right, low, high, n``.
    curve : DataFrame
        The ROC: ``false_alarms`` and ``hits`` from (0, 0) to (1, 1).
    """
    figure = StyledFigure(figsize=(MIDDLE[0], COLUMN[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    color = OKABE_ITO["blue"]
    left.vlines(bins["probability"], bins["low"], bins["high"], color=color, linewidth=1.0)
    left.scatter(bins["probability"], bins["right"], color=color, s=14, zorder=3)
    left.set(xlabel="probability of the likeliest class", ylabel="share of prompts in it")
    right.step(curve["false_alarms"], curve["hits"], where="post", color=color)
    area = float(np.trapezoid(curve["hits"], curve["false_alarms"]))
    right.text(0.97, 0.05, f"area {area:.3f}", ha="right", va="bottom", color="0.3")
    right.set(xlabel="false alarms (left alone, opened)", ylabel="hits (skewed, opened)")
    return figure


@styled
def specificity_levels(table: DataFrame) -> Figure:
    """Draw what the correction does to prompts that say more and more of the gender.

    Parameters
    ----------
    table : DataFrame
        One row a ``set``, ``level`` and ``measure``: ``value, low, high``. Levels in rising order.
    """
    figure = StyledFigure(figsize=WIDE, layout="constrained")
    panels = figure.subplots(1, len(LEVEL_PANELS))
    names = list(dict.fromkeys(table["level"]))
    sets = [of for of in SETS if (table["set"] == of).any()]
    for axes, (measure, label) in zip(panels, LEVEL_PANELS.items(), strict=True):
        rows = table[table["measure"] == measure]
        for offset, of in zip((-0.13, 0.13), sets, strict=True):
            title, marker = SETS[of]
            drawn = rows[rows["set"] == of].set_index("level").loc[names]
            at = np.arange(len(names)) + offset
            colors = [OKABE_ITO["green"] if name == "none" else GREY for name in names]
            axes.vlines(at, drawn["low"], drawn["high"], color=colors, linewidth=1.2)
            axes.scatter(
                at, drawn["value"], color=colors, marker=marker, s=16, label=title, zorder=3
            )
        ticks = range(len(names))
        axes.set_xticks(ticks, names, rotation=35, ha="right", rotation_mode="anchor")
        axes.set(ylabel=label, ylim=(-0.03, None))
    panels[0].set_ylim(-0.03, 1.03)
    legend_below(figure, panels[0])
    return figure
