"""How every figure looks: sizes, colour-blind-safe colours and type, without pyplot state."""

import io
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import rc_context, rc_params_from_file
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from probe.errors import OptionError

P = ParamSpec("P")

COLUMN = (3.4, 2.7)
"""Width and height in inches of a figure in one column of a two-column paper."""
WIDE = 7.0
"""Width in inches of a figure across both columns; only of what cannot be read in one."""

# Okabe and Ito, *Color Universal Design* (2008): distinguishable with common colour blindness.
OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
GREY = "#8A8A8A"
DARK = "#3A3A3A"
"""Colour of a series that stands alone."""
HIGHLIGHT = OKABE_ITO["vermillion"]
"""Colour of what got worse, and of a frame; never beside orange, which is too close to it."""

WOMAN, MAN = OKABE_ITO["orange"], OKABE_ITO["blue"]
"""Orange and blue mean woman and man in every figure, and nothing else."""
GROUP_COLORS = {
    **dict.fromkeys(("female", "woman", "female-skewed"), WOMAN),
    **dict.fromkeys(("male", "man", "male-skewed"), MAN),
    "neutral": DARK,
    "explicit": OKABE_ITO["purple"],
    "object": "#7A7A7A",
}
"""Colour of a group of prompts, a value of an attribute, or a class of the gate."""
FREE_COLORS = (OKABE_ITO["green"], OKABE_ITO["purple"], DARK, "#999933", "#882255")
"""Colours of series that are about neither women nor men; the last two of Tol, *muted* (2018)."""
GROUP_MARKERS = {"female": "^", "male": "v", "neutral": "o", "object": "s"} | {
    "female-skewed": "^",
    "male-skewed": "v",
    "explicit": "D",
}
"""Marker of a group of prompts or a class of the gate, so that a grey print can be read too."""
SIDE_COLORS = {"base": GREY, "moesd": OKABE_ITO["green"]}
"""Colour of the plain model and of the corrected one."""
SIDE_MARKERS = {"base": "o", "moesd": "D"}
SIDE_LABELS = {"base": "base", "moesd": "corrected"}
SHARE_COLORS = LinearSegmentedColormap.from_list("share", [MAN, "#B9C4CB", WOMAN])
"""Colour map of a share of women, from 0 (blue) to 1 (orange)."""
COUNT_COLORS = LinearSegmentedColormap.from_list("count", ["#FFFFFF", "#4D4D4D"])
"""Colour map of a share of a row, from 0 to 1."""
EFFECT_COLORS = LinearSegmentedColormap.from_list("effect", ["#8E4585", "#F4F4F5", "#00734F"])
"""Diverging colour map of what has a sign, from -1 (purple) over 0 to 1 (green)."""


def _settings(*names: str) -> Any:
    """Settings of matplotlib in our style files, the later of which win."""
    settings: Any = {}  # matplotlib types its settings by every name
    for name in names:
        path = Path(__file__).with_name(f"{name}.mplstyle")
        settings |= rc_params_from_file(path, use_default_template=False)
    return settings


STYLES = {"paper": _settings("paper"), "talk": _settings("paper", "talk")}
"""Settings of matplotlib that hold while a figure is built, drawn and saved, and never outside."""
_style: ContextVar[str] = ContextVar("style", default="paper")


@contextmanager
def in_style(name: str) -> Iterator[None]:
    """Build figures in another style than the paper's."""
    if name not in STYLES:
        raise OptionError(f"no style is named {name!r}; choose from {', '.join(STYLES)}")
    token = _style.set(name)
    try:
        yield
    finally:
        _style.reset(token)


def points(size: float) -> float:
    """Font size in the current style of text that has ``size`` points in the paper's."""
    scale: float = STYLES[_style.get()]["font.size"] / STYLES["paper"]["font.size"]
    return size * scale


class StyledFigure(Figure):
    """A Figure that is drawn in the style it was built in, wherever it is drawn.

    matplotlib makes ticks and embeds fonts only when a figure is drawn, by the settings of that
    moment: without this, a notebook or another program's settings would show through.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._settings = STYLES[_style.get()]
        super().__init__(*args, **kwargs)

    def draw(self, renderer: RendererBase) -> None:
        """Draw on a renderer, in our style."""
        with rc_context(self._settings):
            super().draw(renderer)

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save to a path or an open file, in our style."""
        with rc_context(self._settings):
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Show itself in a notebook, at a size to be read, whether or not pyplot is in use."""
        content = io.BytesIO()
        self.savefig(content, format="png", metadata={"Software": None})
        width, height = self.get_size_inches()
        return content.getvalue(), {"width": round(100 * width), "height": round(100 * height)}


def styled(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Build the figure that a function returns in our style."""

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLES[_style.get()]):
            return function(*args, **kwargs)

    return build


def set_title(figure: Figure, text: str) -> None:
    """Write what a figure shows above it, in as many lines as its width needs."""
    size = points(9)
    letter = 0.54 if _style.get() == "paper" else 0.68  # of bold type, in font sizes
    most = round(figure.get_figwidth() * 72 / (letter * size))
    n_lines = len(textwrap.wrap(text, most, break_on_hyphens=False))
    least = max(1, len(text) // n_lines)  # lines of about equal length
    fills = (textwrap.wrap(text, at, break_on_hyphens=False) for at in range(least, most + 1))
    lines = next(of for of in fills if len(of) <= n_lines)
    place = {} if figure.get_layout_engine() else {"y": 1 - 0.05 / figure.get_figheight()}
    figure.suptitle("\n".join(lines), x=0.01, **place, ha="left", fontsize=size, fontweight="bold")


def fitting_width(inches: float) -> float:
    """Choose one column if it is as wide, else two."""
    return COLUMN[0] if inches <= COLUMN[0] else WIDE


def colors_for(names: Iterable[str]) -> dict[str, str]:
    """Give every name a colour: its own where it has one, else the next that is free."""
    names = list(dict.fromkeys(names))
    known = {name: GROUP_COLORS[name] for name in names if name in GROUP_COLORS}
    others = [name for name in names if name not in known]
    return known | dict(zip(others, cycle(FREE_COLORS), strict=False))
