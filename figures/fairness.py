"""Figures of fairness: shares before and after, the summary, and what fairness costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.marks import legend_below
from figures.style import (
    COLUMN,
    MIDDLE,
    SIDE_COLORS,
    SIDE_LABELS,
    SIDE_MARKERS,
    WIDE,
    StyledFigure,
    styled,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

MEASURES = {"mad": "MAD", "fd": "FD", "delta": "Δ", "gap": "gap", "kl": "KL"}
"""Fairness measures and how they are written; 0 is fair in all of them."""
SPLITS = {"all": "all subjects", "trained": "trained on", "held_out": "held out"}


@styled
def subject_shares(
    shares: DataFrame,
    *,
    labour_shares: Mapping[str, float],
    value: str = "woman",
    target: float = 0.5,
) -> Figure:
    """Draw the share of one attribute value in each subject's images, base and corrected.

    Subjects are sorted by their labour share, which a tick marks; bars are 95 % intervals. The
    shaded band is the noise floor: 95 % of the shares that a perfectly fair model would show at
    as many images. Names in italics with a star are held out of training.

    Parameters
    ----------
    shares : DataFrame of shape (n_sides * n_subjects, ...)
        Rows of one attribute value: columns ``side`` (``"base"``, ``"moesd"``), ``subject``,
        ``split``, ``n``, ``share``, ``low`` and ``high``.
    labour_shares : mapping from subject to float
        Share in the labour market, 0 to 1.
    value : str, default="woman"
        The attribute value, for the label.
    target : float, default=0.5
        The fair share, one over the number of values.
    """
    names = sorted(shares["subject"].unique(), key=lambda name: (labour_shares[name], name))
    height = {name: i for i, name in enumerate(names)}
    figure = StyledFigure(figsize=(MIDDLE[0], 0.9 + 0.15 * len(names)), layout="constrained")
    axes = figure.subplots()
    n_images = shares.groupby("subject")["n"].min().reindex(names).to_numpy(int)
    low, high = fair_band(n_images, target)
    edges = np.arange(len(names) + 1) - 0.5
    axes.fill_betweenx(
        edges,
        np.append(low, low[-1]),
        np.append(high, high[-1]),
        step="post",
        color="0.9",
        linewidth=0,
        label="fair within noise",
        zorder=0,
    )
    axes.axvline(target, color="0.6", linewidth=0.8, zorder=1)
    axes.scatter(
        [labour_shares[name] for name in names],
        range(len(names)),
        marker="|",
        s=26,
        color="black",
        linewidth=0.8,
        label="labour market",
        zorder=2,
    )
    for offset, (side, color) in zip((0.17, -0.17), SIDE_COLORS.items(), strict=True):
        rows = shares[shares["side"] == side]
        axes.errorbar(
            rows["share"],
            rows["subject"].map(height) + offset,
            xerr=_whiskers(rows),
            fmt="o",
            markersize=3.2,
            color=color,
            markerfacecolor="white" if side == "base" else color,
            elinewidth=0.8,
            label=SIDE_LABELS[side],
            zorder=3,
        )
    held_out = set(shares.loc[shares["split"] == "held_out", "subject"])
    axes.set_yticks(range(len(names)), [f"{n} *" if n in held_out else n for n in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontstyle("italic" if name in held_out else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set(
        xlabel=f"share of images perceived as {value}" + (" (* held out)" if held_out else ""),
        xlim=(-0.02, 1.02),
        ylim=(-0.7, len(names) - 0.3),
    )
    legend_below(figure, axes)
    return figure


@styled
def fairness_bars(
    fairness: DataFrame, *, splits: tuple[str, ...] = ("trained", "held_out")
) -> Figure:
    """Draw every fairness measure as a bar a side, with its interval and its noise floor.

    Parameters
    ----------
    fairness : DataFrame
        Columns ``side``, ``split``, ``measure``, ``value``, ``low``, ``high`` and ``floor``.
    splits : tuple of str
        The panels, from left to right.
    """
    figure = StyledFigure(figsize=(WIDE[0], COLUMN[1] * 0.95), layout="constrained")
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        rows = fairness[fairness["split"] == split].set_index("measure")
        measures = [measure for measure in MEASURES if measure in rows.index]
        for i, (side, color) in enumerate(SIDE_COLORS.items()):
            table = rows[rows["side"] == side].reindex(measures)
            at = np.arange(len(measures)) + 0.36 * (i - 0.5)
            axes.bar(
                at,
                table["value"],
                0.34,
                color="white" if side == "base" else color,
                edgecolor="0.3" if side == "base" else color,
                yerr=_whiskers(table, value="value"),
                error_kw={"elinewidth": 0.8, "ecolor": "0.15", "capsize": 2, "capthick": 0.8},
                label=SIDE_LABELS[side],
            )
            axes.hlines(
                table["floor"],
                at - 0.17,
                at + 0.17,
                color="black",
                linewidth=1.2,
                label="noise floor" if i == 1 else None,
            )
        axes.set_xticks(range(len(measures)), [MEASURES[measure] for measure in measures])
        axes.tick_params(axis="x", length=0)
        axes.set_title(f"{SPLITS.get(split, split)} ({_n_subjects(rows)} subjects)")
    panels[0].set_ylabel("distance from fair (0 = fair)")
    legend_below(figure, panels[0])
    return figure


@styled
def tradeoff(sides: DataFrame, *, subjects: DataFrame | None = None) -> Figure:
    """Draw unfairness (MAD) against the CLIP score, base and corrected: up and left is better.

    Parameters
    ----------
    sides : DataFrame of shape (2, ...)
        Columns ``side``, ``mad``, ``mad_low``, ``mad_high``, ``mad_floor``, ``clip``, ``clip_low``
        and ``clip_high``.
    subjects : DataFrame, optional
        One row a side and subject, columns ``side``, ``mad`` and ``clip``: pale points behind.
    """
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    floor = float(sides["mad_floor"].iloc[0])
    axes.axvspan(0, floor, color="0.9", linewidth=0, zorder=-1, label="noise floor")
    for side, color in SIDE_COLORS.items():
        if subjects is not None:
            rows = subjects[subjects["side"] == side]
            axes.scatter(
                rows["mad"],
                rows["clip"],
                s=7,
                marker=SIDE_MARKERS[side],
                color=color,
                alpha=0.35,
                linewidth=0,
            )
        row = sides[sides["side"] == side]
        axes.errorbar(
            row["mad"],
            row["clip"],
            xerr=_whiskers(row, value="mad", low="mad_low", high="mad_high"),
            yerr=_whiskers(row, value="clip", low="clip_low", high="clip_high"),
            fmt=SIDE_MARKERS[side],
            markersize=6,
            color=color,
            markeredgecolor="black",
            markeredgewidth=0.6,
            ecolor="0.15",
            elinewidth=0.9,
            capsize=2,
            label=SIDE_LABELS[side],
            zorder=3,
        )
    _join(axes, sides)
    axes.set(xlabel="MAD (0 = fair)", ylabel="CLIP score")
    axes.set_xlim(left=0)
    legend_below(figure, axes)
    return figure


def fair_band(
    n_images: npt.NDArray[np.integer], target: float, *, level: float = 0.95
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Bound the shares that a fair model shows: binomial quantiles at ``n_images`` draws.

    Parameters
    ----------
    n_images : ndarray of shape (n_subjects,)
        Images of each subject.
    target : float
        The fair share.
    level : float, default=0.95
        How often at least a fair model's share lies in the band.

    Returns
    -------
    low, high : ndarray of shape (n_subjects,)
        Shares, 0 to 1.
    """
    from scipy.stats import binom

    tail = (1 - level) / 2
    low, high = (binom.ppf(q, n_images, target) / n_images for q in (tail, 1 - tail))
    return low, high


def _whiskers(
    rows: DataFrame, *, value: str = "share", low: str = "low", high: str = "high"
) -> npt.NDArray[np.floating]:
    """Lengths of an interval's two arms; rounding may not make one negative."""
    arms: npt.NDArray[np.floating] = np.stack([rows[value] - rows[low], rows[high] - rows[value]])
    return arms.clip(min=0.0)


def _join(axes: Axes, sides: DataFrame) -> None:
    """Draw the way from base to corrected."""
    points = sides.set_index("side").loc[["base", "moesd"], ["mad", "clip"]].to_numpy(float)
    axes.annotate(
        "",
        points[1],
        points[0],
        arrowprops={
            "arrowstyle": "->",
            "color": "0.4",
            "shrinkA": 6,
            "shrinkB": 6,
            "linewidth": 0.8,
        },
    )


def _n_subjects(rows: DataFrame) -> int:
    return int(rows["n_subjects"].max()) if "n_subjects" in rows and len(rows) else 0
