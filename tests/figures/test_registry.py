"""A figure is registered in one place; `tests/run/test_registry.py` finds one everywhere else."""

import pytest

from figures import registry
from figures.report.content import NAVIGATION
from figures.sources import SOURCES


def test_two_figures_of_one_name_are_refused():
    registry.all_figures()
    with pytest.raises(ValueError, match="two figures are named 'map'"):
        registry.table_figure("map", reads="map", caption="", alt="")(lambda table: None)


def test_every_figure_reads_files_that_are_known_and_has_a_caption_and_a_section():
    for figure in registry.all_figures().values():
        assert set(figure.reads) <= set(SOURCES)
        assert figure.caption.endswith(".")
        assert figure.section in {"", *NAVIGATION}
