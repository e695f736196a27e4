"""The figure of specificity in pictures: panels by split, points at their levels."""

import numpy as np
import pytest

from figures.levels import levels_in_pictures, specificity_levels
from figures.sources import RunFiles

LEVELS = ["none", "name", "pronoun", "hint", "adjective", "noun"]


@pytest.fixture(scope="module")
def table(sketched_run):
    return RunFiles(sketched_run).table("level_figures")


def points(axes, label):
    (found,) = (of for of in axes.collections if of.get_label() == label)
    return found.get_offsets()


def test_training_occupations_stand_above_others(table):
    axes = levels_in_pictures(table).axes
    assert len(axes) == 6
    titles = [of.get_title(loc="left") for of in axes]
    assert titles == ["trained on", "", "", "never seen", "", ""]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == LEVELS


def test_points_stand_at_their_level_with_their_value(table):
    adherent, mad, touched = levels_in_pictures(table).axes[:3]
    places = points(adherent, "corrected")
    assert np.rint(places[:, 1]).tolist() == [1, 2, 3, 4, 5]  # nothing is asked for at none
    np.testing.assert_allclose(places[2, 0], 0.86)
    np.testing.assert_allclose(points(mad, "base")[:, 0], 0.35)
    changed = points(touched, "images changed")
    np.testing.assert_allclose(changed[:, 0], [0.9, 0, 0, 0.4, 0, 0])
    assert len(points(touched, "of these, gender changed")) == 2


def test_a_table_of_one_kind_of_occupation_has_one_row_of_panels(table):
    assert len(levels_in_pictures(table[table["split"] != "test"]).axes) == 3
    assert len(levels_in_pictures(table[table["split"] == "all"]).axes) == 3


@pytest.mark.parametrize("panel", [0, 1, 2])
def test_levels_stand_in_their_order(tables, panel):
    figure = specificity_levels(tables["levels"])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["none", "noun"]
    for points in figure.axes[panel].collections[1::2]:  # seen, fresh
        np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 0], [0.9, 0.8])
