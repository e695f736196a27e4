"""Erasure: closed forms, the dense inverse, and what must not change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import BiasDirection, PairDirection
from probe.latent.erasure import CalibratedProjection, MeanGapEraser, bias_score

seeds = st.integers(0, 2**32 - 1)


def pairs(seed, *, n_pairs=12, n_features=20):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_pairs, n_features))
    return shared + rng.normal(0.1, 0.1, shared.shape), shared


def two_groups(seed, *, n=60, n_features=8):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.normal(size=(n, n_features)) + y[:, None] * rng.normal(size=n_features), y


def gap_of_means(X, y):
    return np.linalg.norm(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0))


@pytest.mark.parametrize(("n_pairs", "n_features"), [(12, 20), (50, 8), (1, 5)])
@given(seed=seeds, strength=st.floats(0.0, 5000.0))
def test_the_low_rank_projection_equals_the_dense_inverse(n_pairs, n_features, seed, strength):
    male, female = pairs(seed, n_pairs=n_pairs, n_features=n_features)
    difference = male - female
    moment = difference.T @ difference / n_pairs
    dense = np.linalg.inv(np.eye(n_features) + strength * moment)
    z = np.random.default_rng(seed).normal(size=(7, n_features))
    fitted = CalibratedProjection(strength=strength).fit(male, female)
    # inverting a matrix whose condition number is up to 1e4 loses four digits of sixteen
    np.testing.assert_allclose(fitted.transform(z), z @ dense, atol=1e-10)
    np.testing.assert_allclose(fitted.removed(z), z - z @ dense, atol=1e-10)


def test_one_pair_along_one_axis_has_a_closed_form():
    male, female = np.array([[0.3, 0.0, 0.0]]), np.array([[0.1, 0.0, 0.0]])
    fitted = CalibratedProjection(strength=500.0).fit(male, female)
    # M = diag(0.04, 0, 0), so P = diag(1 / (1 + 20), 1, 1)
    np.testing.assert_allclose(fitted.transform(np.ones((1, 3))), [[1 / 21, 1.0, 1.0]], atol=1e-15)
    np.testing.assert_allclose(fitted.shrinkage_, [20 / 21], atol=1e-15)


def test_the_projection_is_kept_low_rank():
    male, female = pairs(seed=0, n_pairs=5, n_features=300)
    fitted = CalibratedProjection().fit(male, female)
    assert fitted.basis_.shape == (5, 300)
    assert max(np.size(value) for value in vars(fitted).values()) == 5 * 300


def test_repeated_pairs_do_not_raise_the_rank():
    male, female = pairs(seed=0, n_pairs=3, n_features=10)
    fitted = CalibratedProjection().fit(np.tile(male, (4, 1)), np.tile(female, (4, 1)))
    once = CalibratedProjection().fit(male, female)
    assert fitted.basis_.shape == (3, 10)
    z = np.random.default_rng(1).normal(size=(6, 10))
    np.testing.assert_allclose(fitted.transform(z), once.transform(z), atol=1e-12)


def test_the_projection_brings_pairs_together_more_with_more_strength():
    male, female = pairs(seed=2)
    left = []
    for strength in (0.0, 1.0, 10.0, 500.0):
        fitted = CalibratedProjection(strength=strength).fit(male, female)
        left.append(np.linalg.norm(fitted.transform(male) - fitted.transform(female)))
    assert left[0] == pytest.approx(np.linalg.norm(male - female))  # the effect before the edit
    assert left[0] > left[1] > left[2] > left[3]
    assert left[3] < 0.1 * left[0]


def test_what_is_orthogonal_to_every_difference_does_not_move():
    male, female = pairs(seed=4)
    fitted = CalibratedProjection().fit(male, female)
    z = np.random.default_rng(0).normal(size=(5, 20))
    z -= z @ fitted.basis_.T @ fitted.basis_
    np.testing.assert_allclose(fitted.transform(z), z, atol=1e-12)


def test_a_projection_of_equal_sides_is_refused_as_degenerate():
    same = np.ones((4, 3))
    with pytest.raises(DegenerateDataError, match="all 4 pairs have the same embedding"):
        CalibratedProjection().fit(same, same)


def test_the_projection_says_what_does_not_fit():
    fitted = CalibratedProjection().fit(*pairs(seed=0))
    with pytest.raises(ShapeError, match="5 features but 20"):
        fitted.transform(np.ones((2, 5)))
    with pytest.raises(DataError, match="no pairs"):
        CalibratedProjection().fit(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(NotFittedError):
        CalibratedProjection().removed(np.ones((2, 5)))


def test_bias_score_of_one_planted_axis_has_a_closed_form():
    axis = np.array([1.0, 0.0, 0.0])
    projection = CalibratedProjection(strength=500.0).fit(0.1 * axis[None], -0.1 * axis[None])
    z = np.array([[0.2, 0.9, 0.0], [-0.1, 0.0, 0.9], [0.0, 1.0, 0.0]])
    # M = 0.04 e1 e1^T and lambda = 500, so 20/21 of the first coordinate is removed
    expected = 20 / 21 * z[:, 0]
    np.testing.assert_allclose(bias_score(z, axis, projection), expected, atol=1e-15)
    direction = BiasDirection(axis, concept="gender", encoder="tiny@1")
    np.testing.assert_array_equal(
        bias_score(z, direction, projection), bias_score(z, axis, projection)
    )


@given(seed=seeds)
def test_bias_score_is_the_removed_part_on_the_axis(seed):
    male, female = pairs(seed)
    direction = PairDirection().fit(male, female).result(concept="gender", encoder="tiny@1")
    projection = CalibratedProjection().fit(male, female)
    z = np.random.default_rng(seed).normal(size=(9, 20))
    expected = (z - projection.transform(z)) @ direction.vector
    np.testing.assert_allclose(bias_score(z, direction, projection), expected, atol=1e-12)


def test_bias_score_tells_the_two_sides_of_a_pair_apart():
    male, female = pairs(seed=8)
    direction = PairDirection().fit(male, female).direction_
    projection = CalibratedProjection().fit(male, female)
    assert (
        bias_score(male, direction, projection) > bias_score(female, direction, projection)
    ).all()


@given(seed=seeds, strength=st.floats(0.0, 1.0))
def test_mean_gap_shrinks_by_exactly_one_minus_strength(seed, strength):
    X, y = two_groups(seed)
    assert gap_of_means(X, y) > 0.1
    edited = MeanGapEraser(strength=strength).fit(X, y).transform(X)
    np.testing.assert_allclose(
        gap_of_means(edited, y), (1 - strength) * gap_of_means(X, y), atol=1e-12
    )


@given(seed=seeds)
def test_only_the_coordinate_along_the_gap_changes(seed):
    X, y = two_groups(seed)
    eraser = MeanGapEraser(strength=0.7).fit(X, y)
    moved = eraser.transform(X) - X
    along = np.outer(moved @ eraser.direction_, eraser.direction_)
    np.testing.assert_allclose(moved, along, atol=1e-12)
    center = eraser.center_[None]
    np.testing.assert_allclose(eraser.transform(center), center, atol=1e-12)


def test_other_numbers_of_groups_than_two_are_refused():
    X, _ = two_groups(seed=0, n=4)
    with pytest.raises(ValueError, match=r"the groups \[0, 1, 2\]; needed two"):
        MeanGapEraser().fit(X, np.array([0, 1, 2, 0]))
