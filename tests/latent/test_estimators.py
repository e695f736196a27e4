"""Estimators of a bias axis: planted axes, invariances, scikit-learn, thin data."""

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf as reference_shrinkage
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import BiasDirection
from probe.latent.directions.covariance import solve_covariance
from probe.latent.directions.estimators import (
    ESTIMATORS,
    DiscriminantDirection,
    LogisticDirection,
    PrincipalDirection,
)

every = pytest.mark.parametrize("name", ESTIMATORS)


def planted(seed, *, n_pairs=60, n_features=6, size=1.0, noise=0.1):
    """Pairs that share everything but a step along a known axis, and noise."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=n_features)
    axis /= np.linalg.norm(axis)
    shared = 0.2 * rng.normal(size=(n_pairs, n_features))
    jitter = noise * rng.normal(size=(2, n_pairs, n_features))
    return shared + size / 2 * axis + jitter[0], shared - size / 2 * axis + jitter[1], axis


def fit(name, male, female):
    return ESTIMATORS[name]().fit(male, female).direction_


@every
def test_a_planted_axis_is_found_through_noise(name):
    male, female, axis = planted(seed=1, n_pairs=400)
    # The discriminant has noise of 0.22 a row in each of 5 other columns against a step of 1, over
    # 800 rows: an angle of 0.22 * 2 * sqrt(5 / 800) = 0.035. Where groups are 4.5 deviations apart
    # logistic regression has about a quarter of its efficiency (Efron, JASA 1975), which makes
    # 0.07; three times that has the cosine 0.978.
    assert fit(name, male, female) @ axis > 0.978


@every
@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_sides_turns_the_axis_round(name, seed):
    male, female, _ = planted(seed, n_pairs=12)
    # the logistic regression ends within 1e-8 of its optimum, the others at it
    np.testing.assert_allclose(fit(name, male, female), -fit(name, female, male), atol=1e-6, rtol=0)


@every
@pytest.mark.parametrize(("scale", "shift"), [(1e-3, -10.0), (0.7, 0.1), (1.0, 0.0), (1e3, 3.0)])
def test_only_a_rotation_of_the_space_matters_and_rotates_the_axis(name, scale, shift):
    male, female, _ = planted(seed=2, n_pairs=12)
    turn = ortho_group.rvs(6, random_state=0)
    offset = shift * scale * np.arange(6)  # different in every column
    moved = fit(name, scale * male @ turn + offset, scale * female @ turn + offset)
    np.testing.assert_allclose(moved, fit(name, male, female) @ turn, atol=1e-6)


@every
def test_the_axis_is_a_unit_vector_with_male_on_its_positive_side(name):
    male, female, _ = planted(seed=4)
    estimator = clone(ESTIMATORS[name]())
    result = estimator.fit(male, female).result(concept="gender", encoder="tiny@1")
    assert isinstance(result, BiasDirection)
    assert np.linalg.norm(result.vector) == pytest.approx(1.0)
    assert result.project(male).mean() > result.project(female).mean()
    assert estimator.n_features_in_ == 6


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_half_and_single_precision_give_nearly_the_same_axis(name, dtype):
    male, female, _ = planted(seed=5)
    rounded = fit(name, male.astype(dtype), female.astype(dtype))
    # float16 rounds coordinates of up to 1 by 5e-4 at most, the step being 1
    assert rounded @ fit(name, male, female) > 1 - 1e-5
    assert rounded.dtype == np.float64


@every
@pytest.mark.parametrize("n_pairs", [2, 5, 20])
def test_a_space_of_more_dimensions_than_prompts_has_an_axis(name, n_pairs):
    male, female, axis = planted(seed=6, n_pairs=n_pairs, n_features=80, noise=0.0)
    assert fit(name, male, female) @ axis > 0.4  # the angle of chance has cosine 0.11


@every
def test_a_space_of_one_dimension_has_one_axis(name):
    male, female = np.array([[1.0], [1.2], [0.9]]), np.array([[0.1], [0.0], [-0.2]])
    np.testing.assert_allclose(fit(name, male, female), [1.0])
    np.testing.assert_allclose(fit(name, -male, -female), [-1.0])


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "lda"])
def test_one_pair_has_an_axis(name):
    male, female = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(fit(name, male, female), [np.sqrt(0.5), -np.sqrt(0.5), 0.0])


def test_one_pair_has_no_covariance_to_discriminate_by():
    with pytest.raises(DegenerateDataError, match="needed several different rows"):
        fit("lda", np.eye(3)[:1], np.eye(3)[1:2])


@every
def test_what_is_wrong_with_the_pairs_is_said(name):
    same = np.random.default_rng(0).normal(size=(9, 4))
    with pytest.raises(DegenerateDataError, match="9 pairs vanish on average"):
        fit(name, same, same)
    with pytest.raises(ShapeError, match=r"male has shape \(3, 4\) and female \(2, 4\)"):
        fit(name, np.ones((3, 4)), np.ones((2, 4)))
    with pytest.raises(DataError, match="no pairs"):
        fit(name, np.ones((0, 4)), np.ones((0, 4)))
    with pytest.raises(DataError, match=r"not finite .* row 3"):
        fit(name, np.where(np.arange(20).reshape(5, 4) == 13, np.nan, 1.0), np.zeros((5, 4)))


def test_the_first_component_is_that_of_pairs_centred_at_their_own_mean():
    for shape in ((40, 6), (10, 30)):
        male, female, _ = planted(seed=7, n_pairs=shape[0], n_features=shape[1], noise=0.4)
        halves = (male - female) / 2
        reference = PCA(1).fit(np.concatenate([halves, -halves]))  # its mean is exactly zero
        fitted = PrincipalDirection().fit(male, female)
        assert abs(fitted.direction_ @ reference.components_[0]) == pytest.approx(1.0)


def test_the_first_component_answers_to_swapped_pairs_and_the_mean_does_not():
    male, female, axis = planted(seed=8, n_pairs=40, noise=0.0)
    jitter = 0.05 * np.random.default_rng(0).normal(size=(2, 40, 6))
    male, female = male + jitter[0], female + jitter[1]
    swapped = np.arange(40) < 19
    mixed = (np.where(swapped[:, None], a, b) for a, b in ((female, male), (male, female)))
    male, female = mixed
    assert np.linalg.norm((male - female).mean(axis=0)) < 0.1  # of 1 before
    assert PrincipalDirection().fit(male, female).direction_ @ axis > 0.99


def test_a_component_at_a_right_angle_to_the_mean_has_no_male_side():
    male = np.array([[0.1, 1.0], [0.1, -1.0]])
    with pytest.raises(DegenerateDataError, match="at a right angle to their mean"):
        PrincipalDirection().fit(male, np.zeros((2, 2)))


@pytest.mark.parametrize("n_pairs", [3, 10, 60])
def test_the_discriminant_is_that_of_scikit_learn(n_pairs):
    male, female, _ = planted(seed=9, n_pairs=n_pairs, noise=0.4)
    X, y = np.concatenate([male, female]), np.repeat([1, 0], len(male))
    fitted = DiscriminantDirection().fit(male, female)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=fitted.shrinkage_)
    reference = lda.fit(X, y).coef_[0]
    np.testing.assert_allclose(fitted.direction_, reference / np.linalg.norm(reference), atol=1e-10)


def test_the_discriminant_states_its_shrinkage():
    for n_pairs, n_features in ((40, 6), (20, 39), (2, 30)):
        male, female, _ = planted(seed=11, n_pairs=n_pairs, n_features=n_features)
        within = np.concatenate([male - male.mean(axis=0), female - female.mean(axis=0)])
        estimate = reference_shrinkage(within, assume_centered=True)[1]
        fitted = DiscriminantDirection().fit(male, female)
        expected = max(estimate, 1 / (2 * n_pairs))
        assert fitted.shrinkage_ == pytest.approx(expected, abs=1e-12)


def test_shrinkage_keeps_rounding_from_making_the_axis():
    # 12 prompts of 4 words and 3 templates span 6 of 20 dimensions; of the others float32 leaves
    # its rounding, and the axis is one of them
    rng = np.random.default_rng(0)
    turn = ortho_group.rvs(20, random_state=0)
    words, templates = rng.normal(size=(4, 6)), rng.normal(size=(3, 6))
    shared = (words[:, None] + templates).reshape(12, 6).repeat(5, axis=0) @ turn[:6]
    sides = [(shared + side * turn[6]).astype(np.float32) for side in (0.5, -0.5)]
    within = np.concatenate([side - side.mean(axis=0) for side in sides])
    gap = (sides[0] - sides[1]).mean(axis=0)
    bare = solve_covariance(within, gap[:, None], shrinkage=0.0)[:, 0]
    assert bare @ turn[6] < 0.9 * np.linalg.norm(bare)
    assert DiscriminantDirection().fit(*sides).direction_ @ turn[6] > 1 - 1e-6


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_the_solution_is_that_of_the_dense_inverse(shape):
    rng = np.random.default_rng(1)
    rows, targets = rng.normal(size=shape), rng.normal(size=(shape[1], 3))
    sample = rows.T @ rows / shape[0]
    for shrinkage in (0.2, 1.0):
        ridge = shrinkage * np.trace(sample) / shape[1]
        dense = (1 - shrinkage) * sample + ridge * np.eye(shape[1])
        found = solve_covariance(rows, targets, shrinkage=shrinkage)
        np.testing.assert_allclose(found, np.linalg.inv(dense) @ targets, atol=1e-10)
    found = solve_covariance(rows, targets, shrinkage=0.0)
    np.testing.assert_allclose(found, np.linalg.pinv(sample) @ targets, atol=1e-8)


def test_the_logistic_axis_is_that_of_scikit_learn():
    male, female, _ = planted(seed=12, noise=0.4)
    X, y = np.concatenate([male, female]), np.repeat([1, 0], len(male))
    X = (X - X.mean(axis=0)) / (X - X.mean(axis=0)).std()
    reference = LogisticRegression(tol=1e-10, max_iter=10_000).fit(X, y).coef_[0]
    fitted = LogisticDirection().fit(male, female).direction_
    # two solvers that end within their tolerances of one optimum
    np.testing.assert_allclose(fitted, reference / np.linalg.norm(reference), atol=1e-5)
