"""The closed form is that of probes fitted again and again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from probe.latent.tracing.probes import group_rows, held_out_scores, left_out_axes

seeds = st.integers(0, 2**32 - 1)


def task(seed, *, n=40, n_features=6, n_groups=8):
    """Random states in groups of unequal size, with two targets."""
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_groups), rng.integers(n_groups, size=n - n_groups)])
    return rng.normal(size=(n, n_features)), rng.choice([-1.0, 1.0], (n, 2)), groups


@settings(max_examples=20)
@given(seed=seeds, n_features=st.sampled_from([1, 6, 39, 40, 90]))
def test_scores_are_those_of_a_ridge_regression_that_never_saw_the_group(seed, n_features):
    X, Y, groups = task(seed, n_features=n_features)
    centered = X - X.mean(axis=0)
    penalty = 0.05 * (centered**2).sum() / min(len(X) - 1, n_features)
    expected = np.empty_like(Y)
    for group in np.unique(groups):
        own = groups == group
        ridge = Ridge(alpha=penalty, solver="cholesky").fit(X[~own], Y[~own])
        expected[own] = ridge.predict(X[own])
    scores = held_out_scores(X, Y, groups, shrinkage=0.05)
    np.testing.assert_allclose(scores, expected, atol=1e-8)


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_neither_the_scale_nor_the_origin_of_the_states_matters(seed, scale):
    X, Y, groups = task(seed)
    moved = held_out_scores(scale * X + np.arange(6.0), Y, groups)
    np.testing.assert_allclose(moved, held_out_scores(X, Y, groups), atol=1e-7)


def test_states_that_are_all_the_same_score_the_mean_of_the_others():
    Y, groups = np.array([[1.0], [1.0], [-1.0], [1.0]]), np.array([0, 0, 1, 1])
    scores = held_out_scores(np.ones((4, 3)), Y, groups)
    np.testing.assert_allclose(scores[:, 0], [0.0, 0.0, 1.0, 1.0], atol=1e-12)


def test_what_only_the_own_group_knows_does_not_help():
    # Each group has a feature of its own that gives its labels away.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 4)
    Y = rng.choice([-1.0, 1.0], (80, 1))
    X = np.zeros((80, 20))
    X[np.arange(80), groups] = Y[:, 0]
    scores = held_out_scores(X, Y, groups, shrinkage=1e-6)
    # Left-out prompts get the mean of the others, which is the same for the whole group.
    for group in range(20):
        assert np.ptp(scores[groups == group]) == pytest.approx(0.0, abs=1e-9)


def test_rows_of_groups_are_filled_up():
    assert group_rows(np.array([1, 0, 1, 1])).tolist() == [[1, -1, -1], [0, 2, 3]]


def test_an_axis_is_the_mean_of_the_other_groups_only():
    axes = left_out_axes(np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]))
    np.testing.assert_allclose(axes[0], [0.0, 1.0])
    np.testing.assert_allclose(axes[1], np.array([2.0, 1.0]) / 5**0.5)
    assert not left_out_axes(np.zeros((3, 2))).any()
