"""The gate on challenge prompts: by category, confusion and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.gate import GATES as GATE_TITLES
from figures.gate import gate_confusion
from figures.marks import draw_values, legend_below
from figures.registry import run_figure, table_figure
from figures.sources import RunFiles, add_source
from figures.style import COLUMN, DARK, GREY, MIDDLE, WIDE, StyledFigure, set_title, styled
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
    caption="Challenge prompts of known class, in no training set of a gate, by category: share "
    "that each gate classifies correctly, with 95 % intervals over templates and the number of "
    "prompts. The class of explicit prompts and of those without a person is known by "
    "construction, that of the others by their bias score. Settings were chosen on the set seen "
    "in development, word lists on the fresh set, nothing on the blind set.",
    alt="Dot plots of shares with intervals, one panel a set, one row a category, two gates.",
)
@styled
def challenge_categories(table: DataFrame) -> Figure:
    """Draw the share of prompts that each gate classifies correctly, by set and category.

    The lexicon's prompts belong to the set seen in development.
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
            style = {"color": color, "marker": marker, "label": label}
            draw_values(axes, at, of, is_horizontal=True, **style)
        for name, n in of_panel.drop_duplicates("name").set_index("name")["n"].items():
            beside: dict[str, Any] = {"va": "center", "annotation_clip": False}
            axes.annotate(str(n), (1.07, height[name]), fontsize="x-small", color=GREY, **beside)
        axes.set(xlabel="share classified correctly", xlim=(-0.03, 1.03), title=SETS[panel][0])
        axes.tick_params(axis="y", length=0)
    drawn[0].set_yticks(
        list(height.values()), ["all hard prompts" if name == "hard" else name for name in height]
    )
    legend_below(figure, drawn[0])
    set_title(figure, f"Challenge prompts classified correctly: {_in_last_set(rows)}")
    return figure


def _in_last_set(rows: DataFrame) -> str:
    """Share of the prompts of the last set that each gate classifies correctly, in words."""
    of_set = rows[rows["panel"] == [of for of in SETS if (rows["panel"] == of).any()][-1]]
    hard = of_set[of_set["name"] == "hard"]  # all but the lexicon's
    words = []
    for gate, own in (hard if len(hard) else of_set).groupby("gate", sort=False):
        share = np.average(own["value"], weights=own["n"])
        words.append(f"{GATES[str(gate)][0]} {percent(float(share), 0)}")
    return f"{', '.join(words)} ({SETS[of_set['panel'].iloc[0]][0]})"


@styled
def reliability_and_roc(bins: DataFrame, curve: DataFrame) -> Figure:
    """Draw the calibration of the gate's probabilities and their ROC curve.

    A bin has ``probability, right, low, high``, a point of the curve ``false_alarms`` and ``hits``.
    """
    figure = StyledFigure(figsize=(MIDDLE[0], COLUMN[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    color = DARK
    draw_values(left, bins["probability"], bins.rename(columns={"right": "value"}), color=color)
    left.set(xlabel="probability of the predicted class", ylabel="share of prompts in that class")
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
