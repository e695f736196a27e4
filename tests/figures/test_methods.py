import numpy as np
import pandas as pd
import pytest

from figures.methods import KINDS, PANELS, kind_of, method_panels
from figures.text.methods import single_encoders
from probe.io.artifacts import read_table
from probe.run.compare.methods import all_methods


@pytest.fixture
def methods(run) -> pd.DataFrame:
    return read_table(run / "comparison/methods.parquet", kind="methods")[0]


def test_each_panel_holds_every_method_in_its_row_and_hollow_ones_last(methods):
    panels = method_panels(methods).axes
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["explicit-mixing", "moesd", "base", "leace"]
    for axes, key in zip(panels, PANELS, strict=True):
        dots = axes.collections[1::2]
        shown = methods[methods["figure"] == key].set_index("name")["value"]
        np.testing.assert_allclose(
            [dot.get_offsets()[0] for dot in dots], list(zip(shown[names], range(4), strict=True))
        )
        is_white = [(dot.get_facecolor()[:, :3] == 1).all() for dot in dots]
        assert is_white == [False, False, False, True]


def test_the_noise_floor_is_drawn(methods):
    axes = method_panels(methods).axes[0]
    assert any(list(line.get_xdata()) == pytest.approx([0.06, 0.06]) for line in axes.lines)


def test_what_one_text_encoder_reaches_of_all_is_said():
    mad = {"base": 0.4, "moesd": 0.1, "moesd-text_encoder": 0.34, "moesd-text_encoder_2": 0.16}
    methods = [{"name": name, "mad": {"value": value}} for name, value in mad.items()]
    assert single_encoders({"methods": methods}) == [
        "text_encoder alone: 20\xa0% of the fall of MAD through all text encoders",
        "text_encoder_2 alone: 80\xa0% of the fall of MAD through all text encoders",
    ]
    assert not single_encoders({"methods": methods[:1]})


def test_every_method_is_of_a_kind():
    kinds = {name: kind_of(name) for name in all_methods()}
    assert set(kinds.values()) == set(KINDS)
    assert kinds["moesd"] == "moesd"
    assert kinds["explicit-mixing"] == "oracle"
