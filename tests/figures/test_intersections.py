"""The figure of intersections: every cell at its place, hollow and starred where it must be."""

import numpy as np
import pytest

from figures.fairness import cell_heat, cell_shares
from probe.io.artifacts import read_table


@pytest.fixture
def cells(run):
    return read_table(run / "evaluation/cells.parquet", kind="cells")[0]


def test_every_cell_is_a_row_and_stands_at_its_share_of_what_is_fair(cells):
    figure = cell_shares(cells)
    assert [len(axes.get_yticks()) for axes in figure.axes] == [4, 8]
    for axes, (_, rows) in zip(figure.axes, cells.groupby("intersection"), strict=True):
        for points, side in zip(axes.collections[1::3], ("base", "moesd"), strict=True):
            of_side = rows[rows["side"] == side]
            expected = of_side["share"] / of_side["fair"]
            np.testing.assert_allclose(points.get_offsets()[:, 0], expected)


def test_cells_of_which_nothing_is_claimed_are_hollow(cells):
    first, second = (axes.collections[1].get_facecolors() for axes in cell_shares(cells).axes)
    assert not (first[:, :3] == 1).all(axis=1).any()
    assert (second[:, :3] == 1).all()


def test_a_harmed_cell_is_starred(cells):
    marks = [[text.get_text() for text in axes.texts] for axes in cell_shares(cells).axes]
    assert marks == [[], ["*"]]


def test_the_heat_map_has_the_shares_of_two_attributes_and_frames_the_worst(cells):
    base, corrected = cell_heat(cells).axes
    for axes, side in ((base, "base"), (corrected, "moesd")):
        rows = cells[(cells["side"] == side) & (cells["cell"].str.count(", ") == 1)]
        drawn = np.asarray(axes.collections[0].get_array()).reshape(2, 2)[::-1]
        np.testing.assert_allclose(drawn.ravel(), rows["share"] / rows["fair"])
        [frame] = [mark for mark in axes.patches if not mark.get_fill()]
        at = int(frame.get_x()), 1 - int(frame.get_y())
        assert rows["share"].iloc[2 * at[1] + at[0]] == rows["share"].min()
