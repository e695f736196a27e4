"""Cells: fair margins that hide an unfair joint, the worst cell, small ones, and their shifts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.audit.intersections.cells import (
    MIN_EXPECTED,
    cell_shifts,
    count_cells,
    divide_unfairness,
    measure_cells,
    worst_cell,
)
from probe.errors import DataError
from probe.stats.resampling import Resampling

PEOPLE = {"gender": ("woman", "man"), "age": ("young", "old")}


def table(*counts, n_subjects=4):
    """The same counts of (young women, old women, young men, old men) for every subject."""
    return np.tile(np.array(counts).reshape(2, 2), (n_subjects, 1, 1))


def test_labels_are_counted_in_their_cells():
    labels = {"gender": ["man", "woman", "man"], "age": ["old", "young", "old"]}
    codes, counts = count_cells(labels, PEOPLE, np.array([0, 0, 1]))
    np.testing.assert_array_equal(codes, [[1, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(counts, [[[1, 0], [0, 1]], [[0, 0], [0, 1]]])
    with pytest.raises(DataError, match="labels of age hold"):
        count_cells({"gender": ["man"], "age": ["ageless"]}, PEOPLE, np.zeros(1, int))


def test_fair_margins_can_hide_an_unfair_joint():
    """Half are women and half are old, and no woman is old."""
    counts = table(50, 0, 0, 50)
    found = divide_unfairness(counts, PEOPLE)
    # four hundred pictures: Miller and Madow take (m - 1) / 800 of each entropy's lack
    assert found.marginal == pytest.approx({"gender": -1 / 800, "age": -1 / 800})
    assert found.joint == pytest.approx(np.log(2) - 1 / 800)
    assert found.hidden.value == pytest.approx(np.log(2) + 1 / 800)
    assert 0.4 < found.hidden.low < np.log(2) <= found.hidden.high == found.hidden.value
    cells = measure_cells(table(25, 25, 25, 25), PEOPLE)
    assert all(cell.low < cell.fair == cell.share < cell.high for cell in cells)
    assert not any(cell.is_missing for cell in cells)
    worst = worst_cell(measure_cells(counts, PEOPLE))
    assert worst.values == ("woman", "old")
    assert worst.is_missing


@given(seed=st.integers(0, 2**32 - 1))
def test_the_parts_of_unfairness_sum_to_the_whole(seed):
    counts = np.random.default_rng(seed).integers(0, 30, size=(5, 2, 2)) + 1
    found = divide_unfairness(counts, PEOPLE)
    assert sum(found.marginal.values()) + found.hidden.value == pytest.approx(found.joint)
    assert found.hidden.low <= found.hidden.high


def test_nothing_is_claimed_where_a_fair_model_would_show_few():
    cells = measure_cells(table(9, 0, 0, 0, n_subjects=1), PEOPLE)
    assert MIN_EXPECTED > 9 * 0.25
    assert all(cell.is_small and not cell.is_missing for cell in cells)
    assert worst_cell(cells) is None
    assert not any(cell.is_small for cell in measure_cells(table(40, 0, 0, 0), PEOPLE))


def test_the_intervals_hold_all_cells_at_once():
    rng, fair, hits = np.random.default_rng(0), np.full(4, 0.25), 0
    for _ in range(300):
        counts = rng.multinomial(60, fair, size=3).reshape(3, 2, 2)
        hits += all(cell.low <= 0.25 <= cell.high for cell in measure_cells(counts, PEOPLE))
    assert hits / 300 >= 0.92  # 0.95, less three standard errors


def test_pictures_that_move_between_cells_are_found_and_others_are_not():
    rng = np.random.default_rng(0)
    before = rng.multinomial(40, [0.25] * 4, size=16)
    after = before.copy()
    moved = before[:, 1] // 2  # half of the old women become old men
    after[:, 1] -= moved
    after[:, 3] += moved
    found = cell_shifts(before, after, resampling=Resampling(999))
    assert [shift.p < 0.01 for shift in found] == [False, True, False, True]
    assert (found[0].value, found[0].p) == (0.0, 1.0)
    back = cell_shifts(after, before, resampling=Resampling(99))
    assert [shift.value for shift in back] == pytest.approx([-shift.value for shift in found])
    assert found[1].value == pytest.approx(-(moved / 40).mean())
    assert found[1].low <= found[1].value <= found[1].high < 0


@pytest.mark.parametrize("lean", [0.0, 0.1])
def test_what_hardly_depends_is_held_as_often_as_said(lean):
    """The error of a squared length tells nothing where the length is 0: seen in 200 draws."""
    rng = np.random.default_rng(0)
    cells = np.array([1 + lean, 1 - lean, 1 - lean, 1 + lean]) / 4
    truth = np.log(4) + (cells * np.log(cells)).sum()
    hits = 0
    for _ in range(200):
        shares = rng.dirichlet(10 * cells, size=10)
        counts = rng.multinomial(50, shares).reshape(10, 2, 2)
        found = divide_unfairness(counts, PEOPLE).hidden
        hits += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high <= np.log(2)
    assert hits >= 0.9 * 200  # 0.95 less three standard errors


def test_attributes_that_decide_each_other_hide_no_more_than_either_knows():
    tables = np.array([[[30, 0], [0, 20]], [[25, 0], [0, 25]], [[24, 0], [0, 28]]])
    found = divide_unfairness(np.repeat(tables, 2, axis=0), PEOPLE).hidden
    assert found.low > 0.4
    assert found.high == pytest.approx(max(np.log(2), found.value))
