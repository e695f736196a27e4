import pandas as pd
import pytest

from figures.tradeoff import COSTS, KINDS, kind_of, methods_tradeoff
from probe.io.artifacts import read_table
from probe.run.compare.methods import all_methods


@pytest.fixture
def methods(run) -> pd.DataFrame:
    return read_table(run / "comparison/methods.parquet", kind="methods")[0]


def test_each_panel_holds_every_method_at_its_place(methods):
    figure = methods_tradeoff(methods)
    assert [axes.get_xlabel() for axes in figure.axes] == list(COSTS.values())
    mad = methods[methods["figure"] == "mad"].set_index("name")["value"]
    for axes, cost in zip(figure.axes, COSTS, strict=True):
        places = methods[methods["figure"] == cost].set_index("name")["value"]
        found = {text.get_text(): text.xy for text in axes.texts}
        assert found == {
            str(number): (places[name], mad[name])
            for number, name in enumerate(dict.fromkeys(methods["name"]), start=1)
        }


def test_the_noise_floor_is_drawn(methods):
    axes = methods_tradeoff(methods).axes[0]
    assert any(list(line.get_ydata()) == pytest.approx([0.06, 0.06]) for line in axes.lines)


def test_methods_that_lose_explicit_prompts_are_hollow(methods):
    axes = methods_tradeoff(methods).axes[0]
    faces = {
        of.get_label().split()[-1]: of.lines[0].get_markerfacecolor() for of in axes.containers
    }
    assert faces.pop("leace") == "white"
    assert "white" not in faces.values()


def test_every_method_is_of_a_kind():
    kinds = {name: kind_of(name) for name in all_methods()}
    assert set(kinds.values()) == set(KINDS)
    assert kinds["moesd"] == "moesd"
    assert kinds["explicit-mixing"] == "oracle"
