"""A figure is registered in one place, and everything else finds it there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from figures import registry
from figures.drawing import draw, drawable
from figures.report import render_report
from figures.report.content import NAVIGATION
from figures.sources import SOURCES, RunFiles, add_source

MODULE = """
from figures.registry import table_figure
from figures.style import StyledFigure, styled


@table_figure("throwaway", reads="subjects", caption="A caption <of it>.", alt="One point.")
@styled
def throwaway(table):
    figure = StyledFigure(figsize=(3.4, 2.7))
    figure.subplots().scatter(table["share_women"], table["bias_score"])
    return figure
"""


@pytest.fixture
def throwaway(tmp_path, monkeypatch):
    (tmp_path / "throwaway_figures.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_FIGURES", dict(registry._FIGURES))
    monkeypatch.delitem(sys.modules, "throwaway_figures", raising=False)
    __import__("throwaway_figures")


def test_a_figure_of_a_module_elsewhere_is_drawn_and_is_in_the_report(
    throwaway, sketched_run, tmp_path
):
    run = Path(shutil.copytree(sketched_run, tmp_path / "run"))
    assert "throwaway.png" in {path.name for path in draw(run, "throwaway", ["png"])}
    page = render_report(run)
    section = page[page.index('aria-labelledby="deeper"') :]
    assert "A caption &lt;of it&gt;." in section
    assert 'alt="One point."' in section


def test_two_figures_of_one_name_are_refused(throwaway):
    registry.all_figures()
    text = {"caption": "", "alt": ""}
    with pytest.raises(ValueError, match="two figures are named 'map'"):
        registry.table_figure("map", reads="map", **text)(lambda table: None)


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
