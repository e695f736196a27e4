import itertools

import numpy as np
import pandas as pd
import pytest

from figures.sweep import draw_sweep, sweep_curve, sweep_front
from probe.io.artifacts import Provenance, write_table

FIGURES = ("mad", "mad_train", "mad_test", "explicit_adherence", "subject_recognised")


def table(**settings):
    """A sweep whose MAD falls from variant to variant while the weights grow."""
    rows = []
    names = [f"train.{name}" for name in settings]
    for number, values in enumerate(itertools.product(*settings.values())):
        for side, figure in itertools.product(("base", "corrected"), FIGURES):
            value = 0.35 if side == "base" else 0.3 - 0.02 * number
            rows.append(
                dict(zip(names, values, strict=True))
                | {"variant": ",".join(map(str, values)), "on_front": number != 1}
                | {"n_trainable": 100 * 4**number, "side": side, "figure": figure}
                | {"value": value, "low": value - 0.02, "high": value + 0.02, "floor": 0.1}
            )
    return pd.DataFrame(rows)


def test_the_curve_stands_at_the_values_of_the_setting():
    figure = sweep_curve(table(width=[4, 16, 64]))
    upper = figure.axes[0]
    assert upper.get_xscale() == "log"
    (line,) = (line for line in upper.lines if line.get_label() == "corrected, never seen")
    np.testing.assert_array_equal(line.get_xdata(), [4, 16, 64])
    np.testing.assert_allclose(line.get_ydata(), [0.3, 0.28, 0.26])


@pytest.mark.parametrize(
    ("settings", "names"),
    [({"seed": [11, 2, 5]}, ["11", "2", "5"]), ({"routing": ["a", "b"]}, ["a", "b"])],
)
def test_seeds_and_names_stand_side_by_side_in_their_order(settings, names):
    axes = sweep_curve(table(**settings)).axes[-1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == names


def test_the_front_is_filled_and_named():
    figure = sweep_front(table(width=[4, 16], token=[True, False]))
    (axes,) = figure.axes
    points = axes.collections[1]
    is_white = (points.get_facecolor()[:, :3] == 1).all(axis=1)
    assert is_white.tolist() == [False, True, False, False]
    assert len(axes.texts) == 3


@pytest.mark.parametrize(
    ("settings", "axes", "label"),
    [
        ({"side": ["text"], "width": [4, 16]}, 2, "width"),
        ({"width": [4, 16], "token": [True, False]}, 1, "trained weights"),
    ],
)
def test_what_varies_decides_what_is_drawn(tmp_path, monkeypatch, settings, axes, label):
    made = Provenance(kind="sweep", model="tinytown", revision="0", seed=1, made_from="it")
    write_table(tmp_path / "sweeps/mine/sweep.parquet", table(**settings), made)
    drawn = []
    monkeypatch.setattr(
        "figures.sweep.write_table_figure", lambda _, figure, *of, caption: drawn.append(figure)
    )
    draw_sweep(tmp_path, "mine")
    (figure,) = drawn
    assert len(figure.axes) == axes
    assert figure.axes[-1].get_xlabel() == label
