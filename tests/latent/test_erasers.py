"""Erasers: the contract of scikit-learn, and the published properties of each."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from probe.errors import DataError, DegenerateDataError
from probe.latent.erasure import CalibratedProjection, MeanGapEraser
from probe.latent.erasure.erasers import ERASERS, CalibratedEraser, HardDebiasEraser
from probe.latent.erasure.leace import LeaceEraser
from probe.latent.erasure.nullspace import NullspaceEraser

OURS = [name for name in ERASERS if name != "mean-gap"]  # which has tests of its own
every = pytest.mark.parametrize("name", OURS)
seeds = st.integers(0, 2**32 - 1)


def groups_of(seed, *, n=60, n_features=6, n_groups=2):
    """Rows of correlated features, and groups that are shifted against each other."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_groups
    mixed = rng.normal(size=(n, n_features)) @ rng.normal(size=(n_features, n_features))
    return mixed + 2 * rng.normal(size=(n_groups, n_features))[y], y


def means_of(X, y):
    return np.stack([X[y == group].mean(axis=0) for group in np.unique(y)])


def spread(X, y):
    return np.abs(means_of(X, y) - means_of(X, y)[0]).max()


@parametrize_with_checks([ERASERS[name]() for name in OURS])
@pytest.mark.filterwarnings("default")  # the checks warn of what they do not test
def test_erasers_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@every
@pytest.mark.parametrize("n_groups", [2, 4])
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_a_part_of_the_edit_is_made_on_request(name, n_groups, strength):
    X, y = groups_of(2, n_groups=n_groups)
    full = ERASERS[name]().fit(X, y).transform(X)
    part = ERASERS[name](strength=strength).fit(X, y).transform(X)
    np.testing.assert_allclose(part - X, strength * (full - X), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "scale", "shift"),
    [
        *product(["mean-gap", "inlp", "leace"], [1e-3, 0.7, 1e3], [-10.0, 3.0]),
        *product(["hard-debias"], [1e-3, 0.7, 1e3], [0.0]),  # about the origin
        ("calibrated", 1.0, 0.0),  # lambda has a unit
    ],
)
def test_the_result_turns_grows_and_moves_with_the_space(name, scale, shift):
    X, y = groups_of(3)
    turn, offset = ortho_group.rvs(6, random_state=1), shift * scale * np.arange(6)
    plain = ERASERS[name]().fit(X, y).transform(X)
    moved = scale * X @ turn + offset
    found = ERASERS[name]().fit(moved, y).transform(moved)
    # inlp rests on logistic regressions that end within 1e-8 of their optimum
    np.testing.assert_allclose((found - offset) / scale, plain @ turn, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "n_groups"),
    [("mean-gap", 2), *product(["hard-debias", "inlp", "leace"], [2, 4])],
)
def test_erasing_twice_is_erasing_once(name, n_groups):
    X, y = groups_of(6, n_groups=n_groups)
    eraser = ERASERS[name]().fit(X, y)
    once = eraser.transform(X)
    assert np.abs(once - X).max() > 0.1
    np.testing.assert_allclose(eraser.transform(once), once, atol=1e-10)


@every
def test_precision_is_kept_and_half_precision_raised(name):
    X, y = groups_of(7)
    eraser = ERASERS[name]().fit(X.astype(np.float32), y)
    assert eraser.transform(X.astype(np.float32)).dtype == np.float32
    assert eraser.transform(X).dtype == np.float64
    half = ERASERS[name]().fit(X.astype(np.float16), y)
    assert half.transform(X.astype(np.float16)).dtype in (np.float32, np.float64)
    # float16 rounds coordinates of about 5 by 2e-3
    np.testing.assert_allclose(half.transform(X), ERASERS[name]().fit(X, y).transform(X), atol=0.1)


@pytest.mark.parametrize("name", ERASERS)
def test_what_cannot_be_erased_is_refused(name):
    X, y = groups_of(9)
    with pytest.raises(DegenerateDataError, match="all rows are of the group 1"):
        ERASERS[name]().fit(X, np.ones(60, dtype=int))
    with pytest.raises(DegenerateDataError, match=r"coincide|equal each other"):
        ERASERS[name]().fit(np.repeat(X[:30], 2, axis=0), y)
    with pytest.raises(ValueError, match=r"strength is 1\.5"):
        ERASERS[name](strength=1.5).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        ERASERS[name]().fit(np.where(X > 3, np.nan, X), y)


@every
def test_groups_that_differ_by_the_rounding_of_half_precision_are_refused(name):
    rounded = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)
    X = np.concatenate([rounded, np.nextafter(rounded, np.float16(np.inf))])
    with pytest.raises(DegenerateDataError, match=r"coincide|equal each other"):
        ERASERS[name]().fit(X, np.arange(60) // 30)


@every
def test_a_space_of_one_dimension_can_be_erased(name):
    X, y = np.array([[1.0], [0.0], [1.2], [0.1]]), np.array([1, 0, 1, 0])
    edited = ERASERS[name]().fit(X, y).transform(X)
    assert spread(edited, y) < 0.1 * spread(X, y)


# LEACE


@pytest.mark.parametrize(("n", "n_features"), [(60, 6), (20, 50), (40, 40)])
@pytest.mark.parametrize("n_groups", [2, 4])
@given(seed=seeds)
def test_after_leace_the_means_of_all_groups_coincide(n, n_features, n_groups, seed):
    X, y = groups_of(seed, n=n, n_features=n_features, n_groups=n_groups)
    eraser = LeaceEraser().fit(X, y)
    edited = eraser.transform(X)
    np.testing.assert_allclose(
        means_of(edited, y), np.tile(X.mean(axis=0), (n_groups, 1)), atol=1e-6
    )
    assert spread(X, y) > 0.1
    assert eraser.probes_.shape == (n_groups - 1, n_features)


def test_after_leace_no_linear_classifier_does_better_than_none():
    X, y = groups_of(10, n_groups=3)
    before = LogisticRegression(max_iter=1000).fit(X, y)
    assert before.score(X, y) > 0.6
    edited = LeaceEraser().fit(X, y).transform(X)
    after = LogisticRegression(max_iter=1000).fit(edited, y)
    np.testing.assert_allclose(after.coef_, 0.0, atol=1e-6)
    np.testing.assert_allclose(after.predict_proba(edited), 1 / 3, atol=1e-6)


def published_leace(X, y):
    """The map as the paper states it, by whitening: theorem 4.3."""
    centered = X - X.mean(axis=0)
    one_hot = (y[:, None] == np.unique(y)).astype(float)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(X))
    W = vectors / np.sqrt(values) @ vectors.T
    cross = centered.T @ (one_hot - one_hot.mean(axis=0)) / len(X)
    left, singular, _ = np.linalg.svd(W @ cross, full_matrices=False)
    left = left[:, singular > 1e-10]
    return np.eye(X.shape[1]) - np.linalg.inv(W) @ left @ left.T @ W


@pytest.mark.parametrize("n_groups", [2, 4])
@given(seed=seeds)
def test_leace_is_the_published_whitened_projection(n_groups, seed):
    X, y = groups_of(seed, n_groups=n_groups)
    eraser = LeaceEraser().fit(X, y)
    expected = (X - X.mean(axis=0)) @ published_leace(X, y).T + X.mean(axis=0)
    # whitening a covariance whose condition number reaches 1e6 loses as many digits
    np.testing.assert_allclose(eraser.transform(X), expected, atol=1e-7)


@given(seed=seeds)
def test_no_other_affine_map_with_equal_means_moves_the_rows_less(seed):
    X, y = groups_of(seed, n_groups=3)
    eraser = LeaceEraser().fit(X, y)
    centered = X - eraser.center_
    least = ((eraser.transform(X) - X) ** 2).sum()
    # every other such map differs by a matrix that sends the gaps to zero
    rng = np.random.default_rng(seed)
    gaps = eraser.moves_.T @ eraser.moves_
    for size in (1e-3, 0.1, 1.0):
        other = size * rng.normal(size=(6, 6)) @ (np.eye(6) - gaps)
        edited = eraser.transform(X) + centered @ other.T
        np.testing.assert_allclose(means_of(edited, y), means_of(edited, y)[[0] * 3], atol=1e-9)
        assert ((edited - X) ** 2).sum() > least


def test_without_correlation_leace_is_the_mean_gap_eraser():
    y = np.repeat([0, 1], 6)
    X = np.tile(np.concatenate([np.eye(3), -np.eye(3)]), (2, 1))  # the covariance of each group is
    X[:, 0] += 4 * y  # a multiple of I, and the gap is along an axis
    edited = LeaceEraser().fit(X, y).transform(X)
    np.testing.assert_allclose(edited, MeanGapEraser().fit(X, y).transform(X), atol=1e-12)


def test_leace_states_its_shrinkage():
    assert LeaceEraser().fit(*groups_of(13, n=60, n_features=6)).shrinkage_ == 0.0
    assert LeaceEraser().fit(*groups_of(13, n=20, n_features=19)).shrinkage_ == 0.0
    assert LeaceEraser().fit(*groups_of(13, n=20, n_features=20)).shrinkage_ >= 1 / 20


# INLP


@pytest.mark.parametrize("n_groups", [2, 3])
def test_inlp_ends_when_a_classifier_is_no_better_than_none(n_groups):
    X, y = groups_of(15, n=300, n_features=10, n_groups=n_groups)
    eraser = NullspaceEraser().fit(X, y)
    assert eraser.accuracies_[0] > 1 / n_groups + 0.2
    assert eraser.accuracies_[-1] <= 1 / n_groups + 0.01
    edited = eraser.transform(X)
    assert LogisticRegression(max_iter=1000).fit(edited, y).score(edited, y) < 1 / n_groups + 0.05


def test_inlp_erases_a_group_of_one_row_in_twenty():
    """Naming the larger group is right in 95 %, so plain accuracy ended the rounds at once."""
    rng, y = np.random.default_rng(0), np.repeat([0, 1], [190, 10])
    X = rng.normal(size=(200, 5))
    X[:, 0] += 1.5 * y
    eraser = NullspaceEraser().fit(X, y)
    assert eraser.accuracies_[0] > 0.75
    assert len(eraser.moves_) >= 1
    edited = eraser.transform(X)
    assert abs(np.diff([edited[y == group, 0].mean() for group in (0, 1)])[0]) < 0.2


def test_inlp_projects_orthogonally():
    X, y = groups_of(16, n_features=10, n_groups=3)
    eraser = NullspaceEraser(max_rounds=2).fit(X, y)
    basis = eraser.moves_
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose((eraser.transform(X) - eraser.center_) @ basis.T, 0.0, atol=1e-10)
    moved = eraser.transform(X) - X
    np.testing.assert_allclose(moved, moved @ basis.T @ basis, atol=1e-10)


@pytest.mark.parametrize(("n", "n_features"), [(60, 6), (20, 30)])
def test_the_first_round_of_inlp_removes_the_weights_of_a_logistic_regression(n, n_features):
    X, y = groups_of(17, n=n, n_features=n_features)
    centered = X - X.mean(axis=0)
    reference = LogisticRegression(tol=1e-10, max_iter=10_000).fit(centered / centered.std(), y)
    weights = reference.coef_[0] / np.linalg.norm(reference.coef_[0])
    eraser = NullspaceEraser(max_rounds=1).fit(X, y)
    assert eraser.moves_.shape == (1, n_features)
    assert abs(eraser.moves_[0] @ weights) == pytest.approx(1.0, abs=1e-8)
    assert eraser.accuracies_[0] == reference.score(centered / centered.std(), y)
    assert len(eraser.accuracies_) == 2


def test_where_rows_are_few_the_rounds_run_out():
    X, y = groups_of(18, n=20, n_features=60)
    eraser = NullspaceEraser(max_rounds=3).fit(X, y)
    assert len(eraser.accuracies_) == 4
    assert eraser.accuracies_[0] == 1.0
    assert eraser.accuracies_[-1] > 0.51
    assert eraser.moves_.shape == (3, 60)


# Hard debiasing


def unit_pairs(seed, *, n_pairs=8, n_features=10, size=2):
    """Unit rows of pairs that differ most along the first axis, the pair of each, its group."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(n_pairs, n_features)), size, axis=0)
    y = np.tile(np.arange(size), n_pairs)
    X = shared + 0.1 * rng.normal(size=shared.shape)
    X[:, 0] += np.linspace(-1.5, 1.5, size)[y]
    return X / np.linalg.norm(X, axis=1, keepdims=True), np.repeat(np.arange(n_pairs), size), y


def test_hard_debias_takes_out_the_first_component_of_the_pairs():
    X, pairs, y = unit_pairs(19)
    eraser = HardDebiasEraser().fit(X, y, pairs=pairs)
    male, female = X[y == 1], X[y == 0]
    axis = np.linalg.svd(male - female)[2][0]
    np.testing.assert_allclose(eraser.transform(X), X - np.outer(X @ axis, axis), atol=1e-12)
    without = HardDebiasEraser().fit(X, y)
    gap = (male - female).mean(axis=0)
    np.testing.assert_allclose(np.abs(without.moves_ @ gap), [np.linalg.norm(gap)])


@pytest.mark.parametrize("name", ["hard-debias", "calibrated"])
def test_pairs_that_are_none_are_refused(name):
    X, pairs, y = unit_pairs(23)
    with pytest.raises(DataError, match="none of 16 rows shares its pair number"):
        ERASERS[name]().fit(X, y, pairs=np.arange(16))
    with pytest.raises(DegenerateDataError, match="pairs that differ"):
        ERASERS[name]().fit(np.repeat(X[::2], 2, axis=0), y, pairs=pairs)


# The calibrated projection


def test_the_calibrated_eraser_is_the_calibrated_projection():
    X, pairs, y = unit_pairs(25)
    order = np.random.default_rng(0).permutation(len(X))
    fitted = CalibratedEraser(lam=50.0).fit(X[order], y[order], pairs=pairs[order])
    reference = CalibratedProjection(strength=50.0).fit(X[y == 1], X[y == 0])
    np.testing.assert_allclose(fitted.transform(X), reference.transform(X), atol=1e-12)


def test_three_groups_are_calibrated_on_all_their_differences():
    X, pairs, y = unit_pairs(26, size=3)
    sides = [X[y == group] for group in range(3)]
    differences = np.concatenate([sides[i] - sides[j] for i, j in ((0, 1), (0, 2), (1, 2))])
    dense = np.linalg.inv(np.eye(10) + 500 * differences.T @ differences / len(differences))
    fitted = CalibratedEraser().fit(X, y, pairs=pairs)
    np.testing.assert_allclose(fitted.transform(X), X @ dense, atol=1e-10)


def test_without_pairs_the_means_are_calibrated():
    X, _, y = unit_pairs(27)
    means = means_of(X, y)
    reference = CalibratedProjection().fit(means[1:], means[:1])
    np.testing.assert_allclose(
        CalibratedEraser().fit(X, y).transform(X), reference.transform(X), atol=1e-12
    )
