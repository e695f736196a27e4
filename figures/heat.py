"""Tables as coloured cells with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    text: Callable[[Any, Any, float], str] | None = None,
) -> ScalarMappable:
    """Draw a table as coloured cells with their numbers, the first row at the bottom.

    Parameters
    ----------
    grid : DataFrame of shape (n_rows, n_columns)
        Values; a cell without one is grey.
    colors, norm : Colormap, Normalize
        From values to colours; a scale that starts at 0 shows absolute values.
    marked : iterable of (row, column)
        Labels of cells that get a frame.
    text : callable, optional
        From the place of a cell and its value to its text; two signed decimals by default.
    """
    import seaborn

    values = grid.to_numpy(float)
    shown = np.abs(values) if norm.vmin is not None and norm.vmin >= 0 else values
    write = text or (lambda row, column, value: number(value, 2))
    labels = np.array([write(i, j, value) for (i, j), value in np.ndenumerate(values)])
    seaborn.heatmap(
        shown,
        annot=labels.reshape(values.shape),
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
