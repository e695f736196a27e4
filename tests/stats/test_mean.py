"""Tests of means: p-value and interval of one method, bounded, exact where nothing scatters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probe.stats.interval import Interval, joined_limits
from probe.stats.mean import degenerate_test, mean_interval, mean_test
from probe.stats.resampling import Resampling


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 30),
    shift=st.floats(-0.3, 0.3),
    copies=st.integers(1, 3),
)
def test_p_and_interval_decide_alike(seed, n, shift, copies):
    rng = np.random.default_rng(seed)
    rows = np.clip(rng.exponential(0.2, size=n) - 0.2 + shift, -0.5, 0.5)
    found = mean_test(
        np.repeat(rows, copies),
        clusters=np.repeat(np.arange(n), copies),
        bounds=(-0.5, 0.5),
        resampling=Resampling(199, seed % 1000),
    )
    assert (found.p <= 0.05) == (not found.low <= 0.0 <= found.high)
    assert -0.5 <= found.low <= found.value <= found.high <= 0.5
    assert found.n == n


def test_five_subjects_that_all_improve_are_significant_by_both():
    """The interval was [-0.53, -0.38] beside p = 0.0625, the least of a sign-flip test of five."""
    rows = np.array([-0.5, -0.42, -0.47, -0.38, -0.5])
    found = mean_test(rows, bounds=(-0.5, 0.5))
    assert found.low == -0.5
    assert found.high < 0
    assert found.p <= 0.05


def test_few_units_have_students_p():
    rows = np.array([0.1, 0.2, 0.15, 0.3])
    found = mean_test(rows, bounds=(-1.0, 1.0))
    assert found.p == pytest.approx(stats.ttest_1samp(rows, 0.0).pvalue)


def test_a_bounded_mean_stays_within_its_bounds():
    """The paired interval of a quantity bounded by 1/2 came out [-2.85, 2.85]."""
    found = mean_interval(np.array([-0.45, 0.45]), bounds=(-0.5, 0.5))
    assert (found.low, found.high) == (-0.5, 0.5)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_where_nothing_differs_the_limits_are_those_of_unseen_units(n):
    found = degenerate_test(0.0, n, (-0.5, 0.5))
    unseen = stats.binomtest(0, n).proportion_ci(0.95, method="exact").high
    assert (found.low, found.high) == pytest.approx((-0.5 * unseen, 0.5 * unseen))
    assert found.p == 1.0


@given(value=st.floats(0.05, 0.95), n=st.integers(1, 60), null=st.floats(0, 1))
def test_p_of_units_that_are_all_alike_inverts_their_limits(value, n, null):
    found = degenerate_test(value, n, (0.0, 1.0), null=null)
    assert found.low <= value <= found.high
    if min(abs(null - found.low), abs(null - found.high)) > 1e-9:
        assert (found.p <= 0.05) == (not found.low <= null <= found.high)


def test_replicates_of_rows_that_are_nearly_alike_say_nothing():
    """Some replicates draw these alone, and have hardly any spread."""
    for values in ([0.28] * 9 + [0.0, 0.5, 0.45], [1.0] + [1e-7, -1e-7] * 78):
        found = mean_interval(np.array(values), resampling=Resampling(4000))
        assert -1.0 < found.low < found.value < found.high < 2.0


def test_a_long_tail_is_in_the_interval_and_rejects_the_truth_no_oftener_than_it_says():
    # Student's holds the mean of 10 exponential scores 90 times in 100
    rng, hits, students, n_trials = np.random.default_rng(0), 0, 0, 300
    for seed in range(n_trials):
        rows = rng.exponential(size=10)
        found = mean_test(rows, null=1.0, bounds=(0.0, 50.0), resampling=Resampling(400, seed))
        assert (found.p <= 0.05) == (not found.low <= 1.0 <= found.high)
        hits += found.low <= 1.0 <= found.high
        half = stats.t.ppf(0.975, 9) * rows.std(ddof=1) / math.sqrt(10)
        students += abs(rows.mean() - 1.0) <= half
    # 95 % within 2 standard errors of 1.3 points
    assert hits / n_trials >= 0.925 > students / n_trials


def test_the_mean_over_subjects_is_that_of_their_means():
    rng = np.random.default_rng(1)
    subjects, scores = np.repeat(np.arange(8), 5), rng.normal(size=40)
    found = mean_interval(scores, clusters=subjects)
    means = mean_interval(scores.reshape(8, 5).mean(axis=1))
    assert (found.value, found.low, found.high) == pytest.approx(
        (means.value, means.low, means.high)
    )


def test_a_second_uncertainty_is_added_in_squares():
    found = joined_limits(Interval(1.0, -2.0, 4.0), Interval(1.1, 1.1 - 4.0, 1.1))
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0 - 5.0, 4.0))
