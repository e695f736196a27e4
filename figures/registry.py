"""The figures of a run: each is registered once, beside the function that draws it.

`moesd-probe visualize`, the report and the tests of all figures read `all_figures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from figures.sources import SOURCES, RunFiles
from probe.io.plugins import import_modules, load_plugins

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    Drawing = tuple[Figure, DataFrame]
    """A figure, and the data that it shows."""
    Recipe = Callable[[RunFiles], Drawing]
    """Reads a run and draws one figure of it."""
    DrawTable = Callable[[DataFrame], Figure]

ORDER = (
    *("maps", "bias_scores", "gate", "images", "fairness", "side_effects", "failures"),
    *("encoder_studies", "tracing", "challenge", "levels", "prediction"),
)
"""Modules whose figures come first in the report, in this order; those of others follow."""
OTHER = "deeper"
"""Section of a figure that names none."""


@dataclass(frozen=True)
class RunFigure:
    """One figure of a run."""

    name: str
    """Name of its files."""
    reads: tuple[str, ...]
    """Names of `figures.sources.SOURCES`."""
    caption: str
    """Text under the figure."""
    alt: str
    """The form of the figure, for readers who do not see it."""
    section: str
    """Section of the report, a key of `figures.report.content.NAVIGATION`; empty: not there."""
    recipe: Recipe
    available: Callable[[RunFiles], bool] | None = None
    """Whether the files that it reads hold what it shows; None: they always do."""

    def is_drawable(self, files: RunFiles) -> bool:
        """Whether the optional files that it reads exist, and all hold what it shows."""
        if not files.has(*(name for name in self.reads if SOURCES[name].is_optional)):
            return False
        return self.available is None or self.available(files)


_FIGURES: dict[str, RunFigure] = {}


def run_figure(
    name: str,
    *,
    reads: tuple[str, ...],
    caption: str,
    alt: str,
    section: str = OTHER,
    available: Callable[[RunFiles], bool] | None = None,
) -> Callable[[Recipe], Recipe]:
    """Register a function from the files of a run to a figure and its data; see `RunFigure`."""

    def register(recipe: Recipe) -> Recipe:
        if name in _FIGURES:
            raise ValueError(f"two figures are named {name!r}; choose another name")
        _FIGURES[name] = RunFigure(name, reads, caption, alt, section, recipe, available)
        return recipe

    return register


def table_figure(
    name: str, *, reads: str, caption: str, alt: str, section: str = OTHER
) -> Callable[[DrawTable], DrawTable]:
    """Register a function that draws one table of a run as it is; see `run_figure`."""

    def register(draw: DrawTable) -> DrawTable:
        def recipe(files: RunFiles) -> Drawing:
            data = files.table(reads)
            return draw(data), data

        recipe.__module__ = draw.__module__
        run_figure(name, reads=(reads,), caption=caption, alt=alt, section=section)(recipe)
        return draw

    return register


def all_figures() -> dict[str, RunFigure]:
    """Return every figure, those of plugins too, by its name, in the order of the report."""
    import_modules("figures")
    load_plugins()
    modules = [f"figures.{module}" for module in ORDER]

    def place(figure: RunFigure) -> int:
        module = figure.recipe.__module__
        return modules.index(module) if module in modules else len(modules)

    return {figure.name: figure for figure in sorted(_FIGURES.values(), key=place)}
