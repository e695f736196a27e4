"""Information between attributes: closed forms, the bias of few pictures, planted dependence."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from probe.audit.intersections.information import dependence, entropy
from probe.stats.resampling import Resampling


def drawn(seed, n=200, sizes=(2, 3)):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


@given(seed=st.integers(0, 2**32 - 1))
def test_of_two_attributes_it_is_their_mutual_information(seed):
    codes = drawn(seed)
    found = dependence(codes, permutations=Resampling(1))
    assert found.value == pytest.approx(mutual_info_score(*codes.T), abs=1e-12)


def test_values_that_say_each_other_share_all_their_entropy():
    codes = np.repeat([[0, 0], [1, 1]], 50, axis=0)
    found = dependence(codes)
    assert found.value == pytest.approx(np.log(2))
    assert found.p == 0.001  # the least of 999 permutations
    three = dependence(np.column_stack([codes, codes[:, 0]]))
    assert three.value == pytest.approx(2 * np.log(2))


def test_a_full_table_of_equal_counts_shares_nothing():
    codes = np.array(list(product(range(2), range(3), range(4))) * 5)
    found = dependence(codes, permutations=Resampling(19))
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.p == 1.0


def test_a_missing_combination_is_found_within_strata():
    codes, strata = drawn(0, n=900), np.arange(900) % 9
    assert dependence(codes, strata, permutations=Resampling(99)).p > 0.05
    codes[(codes == [0, 2]).all(axis=1), 1] = 0
    assert dependence(codes, strata, permutations=Resampling(99)).p == 0.01


def test_dependence_that_the_stratum_explains_is_none():
    codes = np.repeat([[0, 0], [1, 1]], 50, axis=0)
    assert dependence(codes, codes[:, 0], permutations=Resampling(19)).value == pytest.approx(0.0)


def test_within_strata_it_is_the_mean_of_their_own():
    parts = [drawn(1, n=60), drawn(2, n=140)]
    strata = np.repeat([0, 1], [60, 140])
    mixed = np.random.default_rng(0).permutation(200)
    found = dependence(np.concatenate(parts)[mixed], strata[mixed], permutations=Resampling(1))
    alone = [dependence(part, permutations=Resampling(1)) for part in parts]
    assert found.value == pytest.approx(0.3 * alone[0].value + 0.7 * alone[1].value)
    assert found.corrected == pytest.approx(0.3 * alone[0].corrected + 0.7 * alone[1].corrected)


def test_corrected_it_is_zero_on_average_where_nothing_depends():
    found = [dependence(drawn(seed, n=100), permutations=Resampling(20)) for seed in range(150)]
    values = np.array([[of.value, of.corrected, of.chance] for of in found])
    # (2 - 1)(3 - 1) / 2n is the bias of the plug-in
    assert values[:, 0].mean() == pytest.approx(0.01, rel=0.25)
    error = values[:, 1].std() / np.sqrt(len(values))
    assert abs(values[:, 1].mean()) < 3 * error
    assert values[:, 2].mean() == pytest.approx(0.01, rel=0.1)


def test_its_p_value_rejects_as_often_as_it_says():
    found = [dependence(drawn(seed, n=60), permutations=Resampling(39)).p for seed in range(200)]
    assert np.mean(np.array(found) <= 0.05) <= 0.10  # 0.05 and three standard errors


@pytest.mark.parametrize(
    ("counts", "plain"), [([5, 0], 0.0), ([4, 4], np.log(2)), ([1, 1, 1, 1], np.log(4))]
)
def test_entropy_has_its_closed_forms(counts, plain):
    found, corrected = entropy(np.array(counts))
    assert found == pytest.approx(plain)
    m, n = np.count_nonzero(counts), sum(counts)
    assert corrected == pytest.approx(plain + (m - 1) / (2 * n))
