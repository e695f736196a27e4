"""Figures of images: the same seed drawn by the plain and by the corrected model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch, Rectangle

from figures.style import SIDE_LABELS, StyledFigure, colors_for, points, styled

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

GAP = 0.18
"""Room between two subjects, in heights of an image."""


@styled
def image_pairs(
    base: npt.NDArray[np.uint8],
    corrected: npt.NDArray[np.uint8],
    *,
    subjects: Sequence[str],
    labels: tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]] | None = None,
    width: float = 7.0,
) -> Figure:
    """Draw two rows a subject, base above corrected; images of a column share their seed.

    Parameters
    ----------
    base, corrected : ndarray of shape (n_subjects, n_seeds, height, width, 3), uint8
        Images, in the same order of subjects and seeds.
    subjects : sequence of str
        Name of each subject.
    labels : (ndarray, ndarray) of shape (n_subjects, n_seeds), optional
        Perceived value of an attribute in each image, told by its first letters and a colour.
    width : float, default=7.0
        Width of the figure in inches; the height follows.
    """
    if base.shape != corrected.shape or base.ndim != 5 or len(subjects) != len(base):
        raise ValueError(
            f"base and corrected must be (n_subjects, n_seeds, height, width, 3) alike, one row a "
            f"subject; got {base.shape} and {corrected.shape} for {len(subjects)} subjects"
        )
    n_subjects, n_seeds = base.shape[:2]
    ratio = base.shape[2] / base.shape[3]
    margin = 1.55 + 0.3  # columns of an image's width for the names, and some at the right
    cell = width / (n_seeds + margin)
    block = 2 * ratio + GAP
    legend_height = 0.3 if labels is not None else 0.0
    figure = StyledFigure(figsize=(width, cell * block * n_subjects + legend_height))
    axes = figure.add_axes(
        (0, legend_height / figure.get_figheight(), 1, 1 - legend_height / figure.get_figheight())
    )
    axes.set(xlim=(-1.55, n_seeds + 0.3), ylim=(block * n_subjects, 0))
    axes.axis("off")
    values = [] if labels is None else sorted(set(labels[0].flat) | set(labels[1].flat))
    colors, short = colors_for(values), _initials(values)
    for i, subject in enumerate(subjects):
        top = i * block + GAP / 2
        axes.text(-1.5, top + ratio, subject.replace(" ", "\n"), va="center", fontsize=points(8.5))
        for row, (side, images) in enumerate((("base", base), ("moesd", corrected))):
            y = top + row * ratio
            axes.text(
                -0.06,
                y + ratio / 2,
                SIDE_LABELS[side],
                va="center",
                ha="right",
                color="0.4",
                fontsize=points(6.5),
            )
            for j in range(n_seeds):
                axes.imshow(
                    images[i, j],
                    extent=(j + 0.02, j + 0.98, y + 0.98 * ratio, y + 0.02 * ratio),
                    interpolation="nearest",
                    aspect="auto",
                )
                if labels is not None:
                    color = colors[str(labels[row][i, j])]
                    axes.add_patch(
                        Rectangle(
                            (j + 0.02, y + 0.93 * ratio),
                            0.96,
                            0.05 * ratio,
                            color=color,
                            linewidth=0,
                        )
                    )
                    axes.text(
                        j + 0.05,
                        y + 0.88 * ratio,
                        short[str(labels[row][i, j])],
                        color="white",
                        fontsize=points(6.5),
                        fontweight="bold",
                        bbox={"facecolor": color, "linewidth": 0, "pad": 1.0},
                    )
    axes.set(xlim=(-1.55, n_seeds + 0.3), ylim=(block * n_subjects, 0))
    if values:
        figure.legend(
            [Patch(color=colors[value]) for value in values],
            [f"{short[value]}: perceived {value}" for value in values],
            loc="lower center",
            ncols=len(values),
        )
    return figure


def _initials(values: Sequence[str]) -> dict[str, str]:
    """The first letters of each value, as few as tell them apart."""
    longest = max(map(len, values), default=0)
    n = next(
        (n for n in range(1, longest) if len({value[:n] for value in values}) == len(values)),
        longest,
    )
    return {value: value[:n] for value in values}
