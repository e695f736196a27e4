"""Failures of the correction: each failure's rate, and the images that show it worst."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.images import load_images
from figures.registry import run_figure
from figures.sources import RunFiles
from figures.style import COLUMN, StyledFigure, points, set_title, styled
from figures.text.tables import rate
from figures.text.terms import FAILURES
from probe.run.evaluation.failure_examples import worst_pictures

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

N_PAIRS = 3
"""Image pairs of each failure."""
_TOP, _SIDES = 0.48, 0.14  # inches of the title, and of the line below it
_HEAD = 0.46  # inches of a failure's name and rate, above its images
_CAPTION = 0.42  # inches below a pair
_LEFT = 0.03  # inches at the left
_GAP = 0.07  # inches between two pairs
_SIZE = 6.5  # of the captions, in points
_LETTERS = 25  # of a line of a caption


@run_figure(
    "failures",
    reads=("labels", "quality", "shares"),
    section="effects",
    caption="Failures of the correction: the rate of each with its 95 % interval, and the pairs "
    "of images from the same noise that show it worst, by the occupation's share or by the "
    "decrease of the CLIP score. The images are selected to be the worst and do not show how "
    "often a failure occurs; the rates do.",
    alt="A row of image pairs for each failure, base beside corrected, with prompts and rates.",
)
def failure_pictures(files: RunFiles) -> Drawing:
    """Select and draw the images that show each failure worst."""
    quality, labels = files.json("quality"), files.table("labels")
    attribute = str(quality["attribute"])
    shares = files.table("shares")
    data = worst_pictures(
        labels,
        attribute=attribute,
        values=list(dict.fromkeys(shares.loc[shares["attribute"] == attribute, "value"])),
        asked=quality["asked"],
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
    wide = (COLUMN[0] - _LEFT - (N_PAIRS - 1) * _GAP) / N_PAIRS
    ratio = max((of.shape[0] / of.shape[1] for of in pairs[0]), default=1.0)
    places = {name: np.flatnonzero((data["failure"] == name).to_numpy()) for name in names}
    full = _HEAD + ratio * wide / 2 + _CAPTION
    rows = [full if len(places[name]) else _HEAD for name in names]
    start = _TOP + (_SIDES if len(data) else 0.0)
    figure = StyledFigure(figsize=(COLUMN[0], start + sum(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    for name, top in zip(names, start + np.cumsum([0.0, *rows]), strict=False):
        _describe(axes, top, name, found[name])
        for column, index in enumerate(places[name].tolist()):
            left, y = _LEFT + column * (wide + _GAP), top + _HEAD
            bottom = y + ratio * wide / 2
            for side, images in enumerate(pairs):
                x = left + side * wide / 2
                extent = (x, x + 0.48 * wide, y + 0.96 * (bottom - y), y)
                axes.imshow(images[index], extent=extent, interpolation="nearest", aspect="auto")
            text = _caption(data.iloc[index], value)
            axes.text(left, bottom + 0.01, text, va="top", fontsize=points(_SIZE))
    if len(data):
        text = "Left of each pair: base. Right: corrected."
        axes.text(_LEFT, _TOP, text, va="top", color="0.4", fontsize=points(_SIZE))
    axes.set(xlim=(0, COLUMN[0]), ylim=(figure.get_figheight(), 0))
    axes.axis("off")
    none = ", ".join(dict.fromkeys(FAILURES[of][0].lower() for of in known if of not in names))
    text = f"{len(names)} of {len(known)} kinds of failure occurred"
    set_title(figure, text + (f"; not: {none}" if names and none else ""))
    return figure


def _describe(axes: Axes, top: float, name: str, found: Mapping[str, float]) -> None:
    title, meaning = FAILURES[name]
    unit = f", n = {found['n']}" if "n" in found else ""
    axes.text(_LEFT, top + 0.06, f"{title}: {rate(found)}{unit}", va="top")
    style = {"color": "0.4", "fontsize": points(_SIZE)}
    axes.text(_LEFT, top + 0.24, meaning, va="top", **style)


def _caption(row: Any, value: str) -> str:
    """The prompt in two lines at most, and the numbers of the failure."""
    prompt = textwrap.wrap(str(row["prompt"]), _LETTERS, max_lines=2, placeholder=" …")
    return "\n".join([*prompt, _numbers(row, value)])


def _numbers(row: Any, value: str) -> str:
    if row["failure"] == "explicit_changed":
        return f"seen: {row['seen_base']} → {row['seen_moesd']}"
    if row["failure"] == "non_person_changed":
        return f"CLIP score {row['clip_base']:.1f} → {row['clip_moesd']:.1f}"
    before, after = (round(row["n"] * row[f"share_{side}"]) for side in ("base", "moesd"))
    return f"{value}: {before} → {after} of {row['n']:.0f}"
