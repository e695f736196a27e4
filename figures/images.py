"""Pairs of images: the same seed by the base and by the corrected model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle

from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import COLUMN, SIDE_LABELS, StyledFigure, colors_for, points, set_title, styled
from probe.errors import ArtifactError, DataError
from probe.io.files import inside

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from PIL import Image

    from figures.registry import Drawing

LEFT, HEAD, GAP = 0.48, 0.16, 0.06
"""Inches at the left of the images, of the name above them, and below them."""
LEGEND, TITLE = 0.34, 0.42
"""Height of the legend and of the title, in inches."""
N_SEEDS = 6
"""Columns of the grid of images."""
LARGEST_SIDE = 256
"""Images are shrunk to this many pixels, so that a paper stays small."""


@styled
def image_pairs(
    sides: Sequence[npt.NDArray[np.uint8]],
    labels: Sequence[npt.NDArray[np.str_]],
    *,
    subjects: Sequence[str],
) -> Figure:
    """Draw two rows a subject, base above corrected; images of a column share their seed.

    The perceived value of each image is shown by its first letters and a colour.

    ``sides`` are the images of the base and of the corrected model, (n_subjects, n_seeds, height,
    width, 3), and ``labels`` their perceived values, (n_subjects, n_seeds).
    """
    n_subjects, n_seeds, height, width = sides[0].shape[:4]
    wide = (COLUMN[0] - LEFT - 0.02) / n_seeds  # inches of an image, as all that follows
    high = wide * height / width
    block = HEAD + 2 * high + GAP
    size = (COLUMN[0], TITLE + block * n_subjects + LEGEND)
    figure = StyledFigure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    values = sorted(set(labels[0].flat) | set(labels[1].flat))
    colors, short = colors_for(values), _initials(values)
    for i, subject in enumerate(subjects):
        top = TITLE + i * block + HEAD
        axes.text(LEFT, top - 0.03, subject, va="bottom", fontsize=points(7.5))
        for row, (side, images) in enumerate(zip(SIDE_LABELS.values(), sides, strict=True)):
            y = top + row * high
            beside: dict[str, Any] = {"va": "center", "ha": "right", "fontsize": points(6.5)}
            axes.text(LEFT - 0.04, y + high / 2, side, color="0.4", **beside)
            for j in range(n_seeds):
                x = LEFT + j * wide
                extent = (x, x + 0.96 * wide, y + 0.96 * high, y)
                axes.imshow(images[i, j], extent=extent, interpolation="nearest", aspect="auto")
                value = str(labels[row][i, j])
                _mark(axes, extent, short[value], colors[value])
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    figure.legend(
        [Patch(color=colors[value]) for value in values],
        [f"{short[value]}: perceived {value}" for value in values],
        loc="lower center",
        ncols=len(values),
    )
    n_changed, n = np.count_nonzero(labels[0] != labels[1]), labels[0].size
    set_title(
        figure, f"From the same noise, {n_changed} of these {n} pairs change what is perceived"
    )
    return figure


def _mark(axes: Axes, extent: tuple[float, ...], letters: str, color: str) -> None:
    """Mark an image with a line of a colour at its bottom, and with letters above the line."""
    left, right, bottom, _ = extent
    line = (left, bottom - 0.025)
    axes.add_patch(Rectangle(line, right - left, 0.025, color=color, linewidth=0))
    box = {"facecolor": color, "linewidth": 0, "pad": 0.8}
    ink = "#fffffe" if np.dot(to_rgb(color), (0.21, 0.72, 0.07)) < 0.5 else "#1d1c1a"
    style: dict[str, Any] = {"fontsize": points(6.5), "fontweight": "bold", "bbox": box}
    axes.text(left + 0.015, bottom - 0.035, letters, color=ink, **style)


def load_image(folder: Path, name: str) -> Image.Image:
    """Read an image of a run as RGB; ``folder`` is that of a side, RUN/images/SIDE."""
    from probe.images.reading import open_image

    path = inside(folder, name)
    try:
        return open_image(path)
    except DataError as error:
        raise ArtifactError(
            f"{error}: `moesd-probe generate {folder.parents[1]}` makes it again"
        ) from error


def load_images(folder: Path, rows: DataFrame) -> list[np.ndarray]:
    """Read the images of some rows, by ``side`` and ``file_name``, shrunk if they are large."""
    images = []
    for side, file_name in zip(rows["side"], rows["file_name"], strict=True):
        image = load_image(folder / side, file_name)
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        images.append(np.asarray(image))
    return images


@run_figure(
    "images",
    reads=("labels", "subjects", "quality"),
    section="pictures",
    caption="Pairs of images: the same noise, by the base and by the corrected model. Subjects "
    "are spread evenly over the labour shares, with * for never seen, and the seeds are the first "
    "ones: none is selected. The letter in an image is the perceived attribute, by the classifier.",
    alt="A grid of generated images, two rows a subject: base above corrected.",
)
def _image_grid(files: RunFiles) -> Drawing:
    attribute = str(files.json("quality")["attribute"])
    labels = files.table("labels")
    labels = labels[labels["kind"] == "neutral"]
    chosen = _spread_subjects(files.table("subjects"), set(labels["subject"]))
    labels = labels[labels["subject"].isin(chosen)]
    labels = labels.assign(order=labels["subject"].map(chosen.index))
    labels = labels.sort_values(["order", "side", "file_name"], kind="stable")
    of_subject = labels.groupby(["order", "side"])
    n_seeds = min(N_SEEDS, int(of_subject.size().min()))
    data = of_subject.head(n_seeds)
    data = data[["subject", "split", "side", "seed", "file_name", attribute]]
    shape = (len(chosen), n_seeds)
    sides = [data[data["side"] == side] for side in ("base", "moesd")]
    stacks = [np.stack(load_images(files.run / "images", rows)) for rows in sides]
    images = [stack.reshape(*shape, *stack.shape[1:]) for stack in stacks]
    perceived = [rows[attribute].astype(str).to_numpy().reshape(shape) for rows in sides]
    split = data.drop_duplicates("subject").set_index("subject")["split"]
    names = [f"{name}\N{NO-BREAK SPACE}*" if split[name] == "test" else name for name in chosen]
    return image_pairs(images, perceived, subjects=names), data


def _spread_subjects(subjects: DataFrame, present: set[str]) -> list[str]:
    """Select four training and two testing subjects, evenly spread over the labour shares."""
    subjects = subjects[subjects["subject"].isin(present) & subjects["share_women"].notna()]
    subjects = subjects.sort_values(["share_women", "subject"], ignore_index=True)
    chosen: set[int] = set()
    for split, n in (("train", 4), ("test", 2)):
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
