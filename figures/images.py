"""Pairs of images: the same seed by the base and by the corrected model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch, Rectangle

from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import SIDE_LABELS, StyledFigure, colors_for, points, styled
from probe.errors import ArtifactError, StageError

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from PIL import Image

    from figures.registry import Drawing

GAP = 0.18
"""Space between two subjects, in heights of an image."""
N_SEEDS = 8
"""Columns of the grid of images."""
LARGEST_SIDE = 256
"""Images are shrunk to this many pixels, so that a paper stays small."""


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
        Perceived value of an attribute in each image, shown by its first letters and a colour.
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


def load_picture(path: Path) -> Image.Image:
    """Read an image of a run as RGB.

    Raises
    ------
    ArtifactError
        If it is missing or not an image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        run = path.parents[3]  # run/images/SIDE/SUBJECT/NAME.png
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror or 'not an image'}); run `moesd-probe "
            f"generate {run}` to make it again"
        ) from error


def load_pictures(folder: Path, rows: DataFrame) -> list[np.ndarray]:
    """Read the images of some rows, by ``side`` and ``file_name``, shrunk if they are large.

    Returns
    -------
    list of ndarray of shape (height, width, 3)
    """
    pictures = []
    for side, file_name in zip(rows["side"], rows["file_name"], strict=True):
        picture = load_picture(folder / side / file_name)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        pictures.append(np.asarray(picture))
    return pictures


@run_figure(
    "images",
    reads=("labels", "subjects", "quality"),
    section="pictures",
    caption="Pairs of images: the same noise, by the base and by the corrected model. Subjects "
    "are spread evenly over the labour shares, with * for held out, and the seeds are the first "
    "ones: none is selected. The letter in an image is the perceived attribute, by the classifier.",
    alt="A grid of generated images, two rows a subject: base above corrected.",
)
def _image_grid(files: RunFiles) -> Drawing:
    attribute = str(files.json("quality")["attribute"])
    labels = files.table("labels")
    if attribute not in labels:
        raise ArtifactError(
            f"{files.path('labels')} has no column {attribute!r}; delete it and run "
            f"`moesd-probe evaluate {files.run}` again"
        )
    labels = labels[labels["kind"] == "neutral"]
    chosen = _spread_subjects(files.table("subjects"), set(labels["subject"]))
    keys = ["subject", "file_name"]
    both = labels.groupby(keys)["side"].nunique().loc[lambda n: n == 2].reset_index()[keys]
    n_seeds = min(N_SEEDS, *(int((both["subject"] == name).sum()) for name in chosen))
    if n_seeds == 0:
        raise StageError(
            f"{files.path('labels')} has no pair of images; run `moesd-probe generate "
            f"{files.run}` and `moesd-probe evaluate {files.run}` again"
        )
    both = both[both["subject"].isin(chosen)].sort_values(keys).groupby("subject").head(n_seeds)
    order = {name: i for i, name in enumerate(chosen)}
    data = (
        labels.merge(both, on=keys)
        .assign(order=lambda table: table["subject"].map(order))
        .sort_values(["order", "side", "file_name"], kind="stable")[
            ["subject", "split", "side", "seed", "file_name", attribute]
        ]
    )
    shape = (len(chosen), n_seeds)
    sides = [data[data["side"] == side] for side in ("base", "moesd")]
    stacks = [np.stack(load_pictures(files.run / "images", rows)) for rows in sides]
    pictures = [stack.reshape(*shape, *stack.shape[1:]) for stack in stacks]
    perceived = tuple(rows[attribute].astype(str).to_numpy().reshape(shape) for rows in sides)
    split = data.drop_duplicates("subject").set_index("subject")["split"]
    names = [f"{name}\N{NO-BREAK SPACE}*" if split[name] == "held_out" else name for name in chosen]
    return image_pairs(*pictures, subjects=names, labels=perceived), data


def _spread_subjects(subjects: DataFrame, present: set[str]) -> list[str]:
    """Select four training and two held-out subjects, evenly spread over the labour shares."""
    subjects = subjects[subjects["subject"].isin(present) & subjects["share_women"].notna()]
    subjects = subjects.sort_values(["share_women", "subject"], ignore_index=True)
    chosen: set[int] = set()
    for split, n in (("trained", 4), ("held_out", 2)):
        rows = subjects.index[subjects["split"] == split].to_numpy()
        if len(rows):
            chosen |= set(rows[np.linspace(0, len(rows) - 1, n).round().astype(int)])
    return [str(subjects["subject"][i]) for i in sorted(chosen)]


def _initials(values: Sequence[str]) -> dict[str, str]:
    """The first letters of each value, as few as distinguish them."""
    longest = max(map(len, values), default=0)
    n = next(
        (n for n in range(1, longest) if len({value[:n] for value in values}) == len(values)),
        longest,
    )
    return {value: value[:n] for value in values}
