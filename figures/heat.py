"""Tables as coloured cells with their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from figures.style import OKABE_ITO, points
from probe.stats.notation import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize
    from pandas import DataFrame


def draw_heat(
    axes: Axes,
    grid: DataFrame,
    *,
    colors: Colormap,
    norm: Normalize,
    marked: Iterable[tuple[Any, Any]] = (),
    text: DataFrame | None = None,
) -> ScalarMappable:
    """Draw a table as coloured cells with their numbers, the first row at the bottom.

    A cell without a value is grey. A scale of colours that starts at 0 shows absolute values.
    Cells whose (row, column) is ``marked`` get a frame. ``text`` replaces the numbers.
    """
    import seaborn

    values = grid.to_numpy(float)
    shown = np.abs(values) if norm.vmin is not None and norm.vmin >= 0 else values
    labels = (grid.map(lambda value: number(value, 2)) if text is None else text).to_numpy()
    seaborn.heatmap(
        shown,
        annot=labels,
        fmt="",
        annot_kws={"fontsize": points(6.5)},
        cmap=colors,
        norm=norm,
        mask=~np.isfinite(values),
        cbar=False,
        linewidths=0.8,
        ax=axes,
    )
    axes.invert_yaxis()  # the first row at the bottom
    axes.set_facecolor("0.93")  # a cell without a value
    for row, column in marked:
        corner = (list(grid.columns).index(column), list(grid.index).index(row))
        frame = Rectangle(corner, 1, 1, fill=False, zorder=4, clip_on=False)
        frame.set(edgecolor=OKABE_ITO["vermillion"], linewidth=1.6)
        axes.add_patch(frame)
    names = [str(name) for name in grid.columns]
    turned: dict[str, Any] = {"rotation": 0}
    if sum(map(len, names)) > 20 and max(map(len, names)) > 3:
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(names)) + 0.5, names, **turned)
    axes.set_yticks(
        np.arange(len(grid.index)) + 0.5, [str(name) for name in grid.index], rotation=0
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    mesh: ScalarMappable = axes.collections[0]
    return mesh
