"""Failures of the correction: each failure's rate, and the images that show it worst."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.images import load_images
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import SIDE_LABELS, WIDE, StyledFigure, points, set_title, styled
from figures.text.terms import FAILURES
from probe.run.config import Config
from probe.run.evaluation.failure_examples import worst_pictures
from probe.stats.notation import interval

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

N_PAIRS = 3
"""Image pairs of each failure."""
_NAMES = 1.55  # inches at the left
_HEAD = 0.5  # inches above the first row
_CAPTION = 0.47  # inches below a pair
_EMPTY = 0.85  # inches of a row without images
_GAP = 0.12  # inches between two pairs
_SIZE = 6.5  # of the captions, in points
_LETTERS = 40  # of a line of a caption
_MEANING = 34  # letters of a line at the left


@run_figure(
    "failures",
    reads=("labels", "quality", "shares"),
    section="effects",
    caption="Failures of the correction: the rate of each with its 95 % interval, and the pairs "
    "of images from the same noise that show it worst, by the occupation's share or by the "
    "decrease of the CLIP score. The images are selected to be the worst and do not show how "
    "often a failure occurs; the rates at the left do.",
    alt="A row of image pairs for each failure, base beside corrected, with prompts and rates.",
)
def failure_pictures(files: RunFiles) -> Drawing:
    """Select and draw the images that show each failure worst."""
    quality, labels = files.json("quality"), files.table("labels")
    attribute, words = str(quality["attribute"]), Config.read(files.run).evaluate
    shares = files.table("shares")
    data = worst_pictures(
        labels,
        attribute=attribute,
        values=list(dict.fromkeys(shares.loc[shares["attribute"] == attribute, "value"])),
        asked={"female": str(quality["value"]), "male": words.male},
        n_pictures=N_PAIRS,
    )
    pairs = [
        load_images(files.run / "images", data.assign(side=side)) for side in ("base", "moesd")
    ]
    figure = failure_grid(data, pairs=pairs, found=quality["failures"], value=str(quality["value"]))
    return figure, data


@styled
def failure_grid(
    data: DataFrame,
    *,
    pairs: Sequence[Sequence[npt.NDArray[np.uint8]]],
    found: Mapping[str, Mapping[str, float]],
    value: str,
) -> Figure:
    """Draw a row a failure that occurred: its rate, and its worst pairs, base beside corrected.

    A row of ``data`` is a pair, as `worst_pictures` selects them; ``pairs`` are the images of the
    base and of the corrected model in that order. ``found`` has a failure's ``value, low, high``
    and, unless it is no share, ``n``; ``value`` is what the shares of an occupation are of.
    """
    known = [name for name in FAILURES if name in found]
    names = [name for name in known if found[name]["value"] > 0]
    wide = (WIDE[0] - _NAMES - N_PAIRS * _GAP) / N_PAIRS
    ratio = max((of.shape[0] / of.shape[1] for of in pairs[0]), default=1.0)
    places = {name: np.flatnonzero((data["failure"] == name).to_numpy()) for name in names}
    full = max(_EMPTY, ratio * wide / 2 + _CAPTION)
    rows = [full if len(places[name]) else _EMPTY for name in names] or [0.0]
    figure = StyledFigure(figsize=(WIDE[0], _HEAD + sum(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    for name, top in zip(names, _HEAD + np.cumsum([0.0, *rows]), strict=False):
        _describe(axes, top, name, found[name])
        own = places[name]
        for column, index in enumerate(own.tolist()):
            left = _NAMES + column * (wide + _GAP)
            for side, images in enumerate(pairs):
                start = left + side * wide / 2
                extent = (start, start + wide / 2 - 0.02, top + ratio * wide / 2 - 0.02, top)
                axes.imshow(images[index], extent=extent, interpolation="nearest", aspect="auto")
            text = _caption(data.iloc[index], value)
            axes.text(left, top + ratio * wide / 2 + 0.02, text, va="top", fontsize=points(_SIZE))
    for column in range(N_PAIRS if names else 0):
        for side, label in enumerate(SIDE_LABELS.values()):
            left = _NAMES + column * (wide + _GAP) + side * wide / 2
            axes.text(left, _HEAD - 0.05, label, color="0.4", fontsize=points(_SIZE))
    axes.set(xlim=(0, WIDE[0]), ylim=(figure.get_figheight(), 0))
    axes.axis("off")
    none = ", ".join(dict.fromkeys(FAILURES[of][0].lower() for of in known if of not in names))
    text = f"{len(names)} of {len(known)} kinds of failure occurred"
    set_title(figure, text + (f"; not: {none}" if names and none else ""))
    return figure


def _describe(axes: Axes, top: float, name: str, found: Mapping[str, float]) -> None:
    title, meaning = FAILURES[name]
    meaning = textwrap.fill(meaning, _MEANING)
    axes.text(0.05, top, title, va="top", fontsize=points(8.5))
    axes.text(0.05, top + 0.17, meaning, va="top", color="0.4", fontsize=points(_SIZE))
    unit = f"n = {found['n']}" if "n" in found else "in MAD"
    text = f"{interval(found)}\n{unit}"
    axes.text(0.05, top + 0.45, text, va="top", fontsize=points(7.5))


def _caption(row: Any, value: str) -> str:
    """The prompt in two lines at most, and the numbers of the failure."""
    prompt = textwrap.wrap(str(row["prompt"]), _LETTERS, max_lines=2, placeholder=" …")
    return "\n".join([*prompt, _numbers(row, value)])


def _numbers(row: Any, value: str) -> str:
    if row["failure"] == "explicit_changed":
        return f"seen: {row['seen_base']} → {row['seen_moesd']}"
    if row["failure"] == "non_person_changed":
        return f"CLIP score {row['clip_base']:.1f} → {row['clip_moesd']:.1f}"
    shares = f"{row['share_base']:.2f} → {row['share_moesd']:.2f}"
    return f"{value}: {shares}, n = {row['n']:.0f}"
