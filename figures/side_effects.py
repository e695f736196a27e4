"""Figures of side effects: change of the CLIP score, and who else changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.marks import legend_below, name_points, strip
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import COLUMN, DARK, GREY, StyledFigure, colors_for, set_title, styled
from figures.text.terms import plural
from probe.audit.missing_label_bounds import is_seen
from probe.stats.notation import number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

Found = Mapping[str, Any]
N_NAMES = 3
"""Occupations that are named, those whose score falls most."""


@styled
def clip_change(changes: DataFrame, *, means: Mapping[str, Found]) -> Figure:
    """Draw the change of each occupation's CLIP score, a strip of points for each kind of image.

    A row of ``changes`` has its ``images``, ``subject`` and ``change``; ``means`` have ``value,
    low, high, margin`` by the kind of images. The band is the change that does not matter.
    """
    figure = StyledFigure(figsize=(COLUMN[0], 1.1 + 0.65 * len(means)), layout="constrained")
    axes = figure.subplots()
    axes.set(ylim=(len(means) - 0.4, -0.6), xlabel="CLIP score, corrected less base")
    places = []
    for row, (images, mean) in enumerate(means.items()):
        own = changes[changes["images"] == images].sort_values("change")
        y = row + strip(len(own))
        axes.scatter(own["change"], y, color=GREY, s=7, alpha=0.6, linewidth=0, label="occupation")
        arms = [[mean["value"] - mean["low"]], [mean["high"] - mean["value"]]]
        style = {"fmt": "D", "color": DARK, "markersize": 4, "capsize": 2}
        axes.errorbar([mean["value"]], [row], xerr=arms, label="mean", **style)
        places += zip(own["change"], y, own["subject"], strict=True)
    margin = next(iter(means.values()))["margin"]
    axes.axvspan(
        -margin, margin, color="0.8", alpha=0.5, linewidth=0, zorder=-1, label="too small to matter"
    )
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(means)), [f"{images}\nimages" for images in means])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    axes.set_xlim(axes.get_xlim())
    name_points(axes, places[:N_NAMES], others=[place[:2] for place in places[N_NAMES:]])
    legend_below(figure, axes)
    written = [f"{number(mean['value'], 1)} among {name} images" for name, mean in means.items()]
    set_title(figure, f"The correction changes the CLIP score by {', '.join(written)}")
    return figure


@run_figure(
    "clip_change",
    reads=("quality", "labels"),
    section="effects",
    caption="Change of the mean CLIP score of each occupation (points), among all its images and "
    "among those that show the same value of the corrected attribute. Diamonds: means with 95 % "
    "intervals over occupations. The band is the change that was set not to matter.",
    alt="Strips of points, one an occupation, with the mean change and its interval.",
    available=lambda files: "clip_score" in files.json("quality")["difference"],
)
def _clip_change(files: RunFiles) -> Drawing:
    import pandas

    from probe.images.quality.composition import decompose_change

    quality, labels = files.json("quality"), files.table("labels")
    attribute, found = quality["attribute"], quality["difference"]
    neutral = labels[labels["kind"] == "neutral"]
    scores = neutral.groupby(["side", "subject"])["clip_score"].mean()
    changes = (scores["moesd"] - scores["base"]).rename("change").reset_index().assign(images="all")
    means = {"all": found["clip_score"]}
    if (same := found.get("clip_score_like_for_like")) is not None:
        seen = neutral[is_seen(neutral, attribute)].rename(columns={"clip_score": "score"})
        sides = (seen[seen["side"] == side] for side in ("base", "moesd"))
        of = decompose_change(*sides, group=attribute)
        name = f"same-{attribute}"
        same_rows = {"subject": of.subjects, "change": of.like_for_like, "images": name}
        changes = pandas.concat([changes, pandas.DataFrame(same_rows)], ignore_index=True)
        means[name] = same
    return clip_change(changes, means=means), changes


@styled
def other_changes(changes: Sequence[Found]) -> Figure:
    """Draw how the shares of the other attributes change, among all images and by gender.

    A change has ``attribute, shown, within`` (empty: all images), ``value, low, high``, shares
    ``before`` and ``after``, and ``p_holm``; the value with the largest overall change is named.
    """
    rows = list(dict.fromkeys((of["attribute"], of["shown"]) for of in changes))
    groups = list(dict.fromkeys(of["within"] for of in changes))
    figure = StyledFigure(figsize=(COLUMN[0], 1.1 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    colors = {"": DARK} | colors_for(group for group in groups if group)
    for row in range(1, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=-2)
    for group, shift in zip(groups, np.linspace(-0.25, 0.25, len(groups)), strict=True):
        own = [of for of in changes if of["within"] == group]
        y = np.array([rows.index((of["attribute"], of["shown"])) for of in own]) + shift
        keys = ("value", "low", "high")
        value, low, high = 100 * np.array([[of[key] for of in own] for key in keys])
        axes.hlines(y, low, high, color=colors[group], linewidth=0.9)
        label = f"among {plural(group)}" if group else "all images"
        axes.scatter(value, y, s=14, marker="o" if group else "D", color=colors[group], label=label)
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [f"{attribute}: {shown}" for attribute, shown in rows])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="change of the share, in points")
    legend_below(figure, axes)
    largest = max((of for of in changes if not of["within"]), key=lambda of: abs(of["value"]))
    sure = "" if largest["p_holm"] <= 0.05 else ", within chance"
    before, after = (percent(largest[side], 0) for side in ("before", "after"))
    change = f"{largest['shown']}, {before} \N{RIGHTWARDS ARROW} {after}{sure}"
    set_title(figure, f"Largest change of another attribute: {largest['attribute']} {change}")
    return figure


@run_figure(
    "other_attributes",
    reads=("quality",),
    section="effects",
    caption="Who else changed: the shares of the other perceived attributes, corrected less base, "
    "paired over occupations, with 95 % intervals; among all neutral images and among those that "
    "show one value of the corrected attribute.",
    alt="Dot plot of changes with intervals, one row a value of an attribute.",
    available=lambda files: files.json("quality").get("other_attributes") is not None,
)
def _other_changes(files: RunFiles) -> Drawing:
    import pandas

    changes = files.json("quality")["other_attributes"]["changes"]
    return other_changes(changes), pandas.DataFrame(changes)
