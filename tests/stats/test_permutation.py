"""Permutation p-values: against enumeration, scipy, closed forms, and their own intervals."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.stats.permutation import random_splits, sign_flip_p, split_sums_p, splits_p
from probe.stats.resampling import Resampling


def gain(values, chosen):
    """Difference of means between the chosen values and the others."""
    others = np.delete(values, chosen)
    return values[list(chosen)].mean() - others.mean()


def enumerated(scores, n_first, alternative):
    """The p-value by its definition, one split at a time."""
    observed = gain(scores, tuple(range(n_first)))
    gains = np.array([gain(scores, rows) for rows in combinations(range(len(scores)), n_first)])
    extreme = {
        "greater": gains >= observed - 1e-12,
        "less": gains <= observed + 1e-12,
        "two-sided": np.abs(gains) >= abs(observed) - 1e-12,
    }
    return extreme[alternative].mean()


@given(
    seed=st.integers(0, 2**32 - 1),
    n_first=st.integers(1, 6),
    n_second=st.integers(1, 6),
    alternative=st.sampled_from(["greater", "less", "two-sided"]),
    is_rounded=st.booleans(),
)
def test_counting_half_against_half_finds_what_enumeration_finds(
    seed, n_first, n_second, alternative, is_rounded
):
    scores = np.random.default_rng(seed).normal(size=n_first + n_second)
    if is_rounded:  # ties, whose sums differ by rounding only
        scores = np.round(scores, 0) / 10
    found = split_sums_p(scores, n_first, alternative=alternative)
    assert found.is_exact
    assert found.n_splits == math.comb(len(scores), n_first)
    assert found.value == pytest.approx(enumerated(scores, n_first, alternative), abs=1e-12)
    assert found.low == found.value == found.high


def test_thirty_six_words_that_are_wholly_apart_have_one_split_in_nine_billion():
    scores = np.arange(36.0)[::-1]
    found = split_sums_p(scores, 18)
    assert (found.value, found.is_exact) == (1 / math.comb(36, 18), True)
    assert split_sums_p(scores, 18, alternative="less").value == 1.0
    assert split_sums_p(scores, 18, alternative="two-sided").value == 2 / math.comb(36, 18)


def test_the_interval_of_a_drawn_p_holds_the_exact_one_as_often_as_it_says():
    scores = np.random.default_rng(1).normal(size=16) + np.repeat([0.5, 0.0], 8)
    exact = split_sums_p(scores, 8).value
    assert 0.01 < exact < 0.5
    drawn = [
        split_sums_p(scores, 8, max_sums=0, permutations=Resampling(500, s)) for s in range(200)
    ]
    assert not any(found.is_exact for found in drawn)
    held = np.mean([found.low <= exact <= found.high for found in drawn])
    assert held >= 0.95 - 3 * 0.0155  # three standard errors of 200 trials below 95 %
    assert all(found.low <= found.value <= found.high for found in drawn)


def test_too_many_words_are_drawn_and_a_drawn_p_is_never_zero():
    found = split_sums_p(np.arange(60.0)[::-1], 30, permutations=Resampling(99))
    assert (found.value, found.low, found.n_splits) == (0.01, 0.0, 99)
    assert not found.is_exact


def test_a_random_split_has_the_sizes_asked_for_and_favours_nobody():
    [mask] = random_splits(5, 2, 20_000, np.random.default_rng(0))
    assert (mask.sum(axis=1) == 2).all()
    # each of the 10 splits has its tenth: 3.9 standard errors of 0.0021
    _, n_each = np.unique(mask, axis=0, return_counts=True)
    np.testing.assert_allclose(n_each / 20_000, 0.1, atol=0.0083)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 10))
def test_sign_flips_are_counted_as_enumeration_counts_them(seed, n):
    values = np.random.default_rng(seed).normal(0.3, 1, n).round(1)
    sums = np.array([np.dot(signs, values) for signs in product([-1, 1], repeat=n)])
    expected = (np.abs(sums) >= abs(values.sum()) - 1e-12).mean()
    assert sign_flip_p(values).value == pytest.approx(expected, abs=1e-12)


def test_drawn_sign_flips_agree_with_all_of_them():
    values = np.random.default_rng(3).normal(0.4, 1, 20)
    exact, drawn = (
        sign_flip_p(values),
        sign_flip_p(values, max_sums=0, permutations=Resampling(4000)),
    )
    assert (exact.is_exact, drawn.is_exact) == (True, False)
    assert drawn.low <= exact.value <= drawn.high


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_listing_and_counting_are_the_same_test(alternative):
    scores = np.random.default_rng(5).normal(size=10)

    def difference(first, second):
        return first @ scores - second @ scores

    listed = splits_p(difference, np.arange(10), 4, alternative=alternative, n_cells=10)
    counted = split_sums_p(scores, 4, alternative=alternative)
    assert listed.is_exact
    assert listed.value == pytest.approx(counted.value, abs=1e-12)
    drawn = splits_p(
        difference, np.arange(10), 4, alternative=alternative, n_cells=10**6, max_splits=0
    )
    assert not drawn.is_exact
    # four standard errors of 10,000 draws
    error = math.sqrt(counted.value * (1 - counted.value) / 10_000)
    assert drawn.value == pytest.approx(counted.value, abs=4 * error)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="alternative is 'up'; needed one of greater"):
        split_sums_p(np.arange(4.0), 2, alternative="up")
    with pytest.raises(ValueError, match="number of resamples is 0"):
        split_sums_p(np.arange(4.0), 2, permutations=Resampling(0))
