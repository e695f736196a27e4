"""The kernel inception distance against closed forms, its unbiasedness, and torchmetrics."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DegenerateDataError, ShapeError
from probe.images.quality import kid as module
from probe.images.quality.kid import kid


def drawn(seed, n=40, d=6, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, (n, d))


def by_hand(a, b):
    """The definition, pair by pair."""

    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(rows):
        values = [k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return np.mean(values)

    return within(a) + within(b) - 2 * np.mean([k(x, y) for x in a for y in b])


def test_sets_at_right_angles_have_the_distance_of_the_closed_form():
    a, b = np.tile([1.0, 0.0], (4, 1)), np.tile([0.0, 1.0], (4, 1))
    found = kid(a, b)
    assert found.value == pytest.approx(2 * 1.5**3 - 2)
    assert found.low == found.high == pytest.approx(found.value)  # every half is alike


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 9))
def test_it_is_the_definition_summed_over_pairs(seed, n):
    a, b = drawn(seed, n=n), drawn(seed + 1, n=5, shift=0.5)
    assert kid(a, b).value == pytest.approx(by_hand(a, b))


def test_over_samples_of_one_distribution_its_mean_is_zero():
    found = np.array([kid(drawn(2 * i), drawn(2 * i + 1), n_halves=2).value for i in range(300)])
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found))
    assert (found < 0).mean() > 0.3


def test_the_interval_holds_the_truth_as_often_as_it_says():
    truth = kid(drawn(1, n=2000), drawn(2, n=2000, shift=0.3)).value
    found = [kid(drawn(10 + i), drawn(1010 + i, shift=0.3), n_halves=100) for i in range(100)]
    n_hits = sum(of.low <= truth <= of.high for of in found)
    assert n_hits >= 87  # 95 are expected; fewer than 87 have a chance of 1 in 1,000


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_sets_does_not_matter(seed):
    a, b = drawn(seed), drawn(seed + 1, shift=1.0)
    assert kid(a, b).value == pytest.approx(kid(b, a).value)


def test_of_more_pictures_than_fit_some_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROWS", 10)
    a, b = drawn(1), drawn(2)
    assert kid(a, b, seed=3) == kid(a, b, seed=3) != kid(a, b, seed=4)


def test_pairs_that_are_equal_are_at_no_distance_and_other_pairs_keep_theirs():
    a = drawn(1)
    same = kid(a, a, is_paired=True)
    assert (same.value, same.low, same.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    # pairs that have nothing in common are as far apart as two samples
    found = np.array(
        [
            kid(drawn(i), drawn(500 + i, shift=0.3), n_halves=2, is_paired=is_paired).value
            for i in range(200)
            for is_paired in (True, False)
        ]
    ).reshape(-1, 2)
    assert abs((found[:, 0] - found[:, 1]).mean()) < 0.02 * found.mean()
    with pytest.raises(ShapeError, match="needed pairs"):
        kid(a, a[:-1], is_paired=True)


def test_the_interval_covers_the_mean_distance_of_other_subjects():
    """Images of a subject are near copies; over rows the interval covered 46 %."""
    subjects, found = np.arange(100) // 10, []
    for trial in range(150):
        rng = np.random.default_rng(trial)
        base = np.repeat(rng.normal(size=(10, 3)), 10, axis=0)
        moved = np.repeat(rng.normal(0.5, 0.5, size=(10, 3)), 10, axis=0)
        noise = rng.normal(0, 0.1, size=(2, 100, 3))
        sides = base + noise[0], base + moved + noise[1]
        of = {"subjects_a": subjects, "subjects_b": subjects, "is_paired": True}
        found.append(kid(*sides, **of, n_halves=100))
    expected = np.mean([of.value for of in found])
    assert np.mean([of.low <= expected <= of.high for of in found]) >= 0.90


def test_it_equals_torchmetrics_on_the_whole_sets():
    image = importlib.import_module("torchmetrics.image.kid")
    import torch

    a, b = (torch.from_numpy(of) for of in (drawn(1), drawn(2, shift=1.0)))
    wanted = float(image.poly_mmd(a, b))
    assert kid(a.numpy(), b.numpy()).value == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "error", "said"),
    [
        (drawn(1), drawn(1, d=5), ShapeError, "6 and 5 wide"),
        (drawn(1, n=3), drawn(1), DegenerateDataError, "of 3 subjects"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(a, b, error, said):
    with pytest.raises(error, match=said):
        kid(a, b)


def test_subjects_that_do_not_fit_are_refused():
    a, b = drawn(1), drawn(2)
    with pytest.raises(DegenerateDataError, match="of 2 subjects"):
        kid(a, b, subjects_a=[0, 1] * 20, subjects_b=[0, 1] * 20)
    with pytest.raises(ShapeError, match="needed one for each"):
        kid(a, b, subjects_a=range(39), subjects_b=range(40))
