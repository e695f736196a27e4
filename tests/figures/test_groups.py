"""Figures of groups: every interval, the noise floor, and lines along a setting."""

import numpy as np
import pandas as pd

from figures.groups import mad_along, mad_forest

VALUES = np.array([0.3, 0.4, 0.1])
ROWS = pd.DataFrame({"value": VALUES, "low": VALUES - 0.05, "high": VALUES + 0.05}).assign(
    group=["one, 2", "one, 10", "a-model-with-a-long-name, 10"],
    series=["one", "one", "a-model-with-a-long-name"],
    at=[2.0, 10.0, 10.0],
    floor=0.02,
)


def test_a_forest_has_an_interval_and_a_floor_a_group():
    figure = mad_forest(ROWS)
    lines, points, floors = figure.axes[0].collections
    ends = [line[:, 0] for line in lines.get_segments()]
    np.testing.assert_allclose(ends, ROWS[["low", "high"]])
    np.testing.assert_allclose(points.get_offsets()[:, 0], VALUES)
    np.testing.assert_allclose(floors.get_offsets()[:, 0], 0.02)
    assert figure.get_figwidth() == 3.4
    assert "0.100 (a-model-with-a-long-name" in figure.get_suptitle().replace("\n", " ")


def test_lines_along_a_setting_stand_at_its_numbers():
    figure = mad_along(ROWS, setting="guidance")
    (axes,) = figure.axes
    line = next(of for of in axes.lines if of.get_label() == "one")
    np.testing.assert_array_equal(line.get_xydata(), [[2, 0.3], [10, 0.4]])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "10"]
    assert "in 1 of 1 series" in figure.get_suptitle().replace("\n", " ")
