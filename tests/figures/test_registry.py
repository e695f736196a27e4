"""A figure is registered in one place; `tests/run/test_registry.py` finds one everywhere else."""

from __future__ import annotations

import pytest

from figures import registry
from figures.drawing import drawable
from figures.report.content import NAVIGATION
from figures.sources import SOURCES, RunFiles, add_source


def test_two_figures_of_one_name_are_refused():
    registry.all_figures()
    with pytest.raises(ValueError, match="two figures are named 'map'"):
        registry.table_figure("map", reads="map", caption="", alt="")(lambda table: None)


def test_every_figure_reads_files_that_are_known_and_has_a_caption_and_a_section():
    for figure in registry.all_figures().values():
        assert set(figure.reads) <= set(SOURCES)
        assert figure.caption.endswith(".")
        assert figure.section in NAVIGATION


def test_a_figure_of_a_study_that_was_not_run_is_left_out(sketched_run, monkeypatch):
    monkeypatch.setattr(registry, "_FIGURES", dict(registry._FIGURES))
    monkeypatch.setitem(SOURCES, "absent", SOURCES["map"])  # removed again after the test
    absent = add_source("absent")
    registry.table_figure("later", reads=absent, caption="c.", alt="a")(lambda table: None)
    assert "map" in drawable(RunFiles(sketched_run))
    assert "later" not in drawable(RunFiles(sketched_run))
