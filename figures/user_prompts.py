"""Figure of the user's own prompts on the axis of the bias score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.registry import run_figure
from figures.sources import RunFiles, add_source
from figures.style import COLUMN, SIDE_COLORS, StyledFigure, points, set_title, styled
from probe.run.files import USER_PLACES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

N_SHOWN = 24
"""Prompts of the figure: of more, those with the largest bias scores."""
_LETTERS = 44
SOURCE = add_source("user_prompts", path=USER_PLACES, kind="places", stage="fit")


@run_figure(
    "user_prompts",
    reads=(SOURCE, "gate"),
    section="own",
    caption="Bias scores of your prompts, largest first. The band is the range of the prompts "
    "about objects, which have no gender: a score inside it says nothing.",
    alt="Dot plot of the bias score, one row a prompt, with the range of the objects.",
)
def _user_prompts(files: RunFiles) -> Drawing:
    data, gate = by_bias_score(files.table(SOURCE)), files.table("gate")
    objects = gate.loc[gate["group"] == "object", "bias_score"]
    band = (float(objects.min()), float(objects.max())) if len(objects) else (0.0, 0.0)
    return user_prompt_scores(data, band=band), data


def by_bias_score(prompts: DataFrame) -> DataFrame:
    """Sort prompts by the size of their bias score, the largest first."""
    order = np.argsort(-prompts["bias_score"].abs().to_numpy(), kind="stable")
    return prompts.iloc[order].reset_index(drop=True)


@styled
def user_prompt_scores(prompts: DataFrame, *, band: tuple[float, float]) -> Figure:
    """Draw the bias scores of prompts, a row each, over the range of the objects."""
    rows = prompts.head(N_SHOWN).iloc[::-1]
    figure = StyledFigure(figsize=(COLUMN[0], 0.8 + 0.15 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(*band, color="0.9", linewidth=0, zorder=-1)
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    score, height = rows["bias_score"].to_numpy(float), np.arange(len(rows))
    axes.hlines(height, 0, score, color="0.6", linewidth=0.8)
    axes.scatter(score, height, s=13, color=SIDE_COLORS["base"], edgecolor="0.2", linewidth=0.5)
    names = [name if len(name) <= _LETTERS else f"{name[:_LETTERS]}…" for name in rows["prompt"]]
    axes.set_yticks(height, [name.replace("$", r"\$") for name in names], fontsize=points(6.5))
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="bias score (women \N{MINUS SIGN} / men +)", ylim=(-0.7, len(rows) - 0.3))
    n = int((~prompts["bias_score"].between(*band)).sum())
    set_title(figure, f"More biased than any object: {n} of {len(prompts)} prompts of yours")
    return figure
