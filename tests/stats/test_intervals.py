"""Intervals of means over few subjects: planted bias score, closed forms, what chance explains."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from probe.audit.fairness import fairness_figures, paired_difference
from probe.audit.measures import measure_shares
from probe.audit.subject_intervals import shrunken_shares
from probe.errors import DegenerateDataError
from probe.stats.interval import Interval, joined_limits
from probe.stats.mean import mean_interval
from probe.stats.resampling import Resampling


def test_few_scores_have_students_interval():
    rows = np.array([1.0, 2.0, 4.0, 4.5])
    found = mean_interval(rows)
    low, high = stats.ttest_1samp(rows, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_long_tail_is_in_the_interval():
    # Student's holds the mean of 10 exponential scores 90 times in 100
    rng, hits, students, n_trials = np.random.default_rng(0), 0, 0, 300
    for seed in range(n_trials):
        rows = rng.exponential(size=10)
        found = mean_interval(rows, resampling=Resampling(400, seed))
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
    with pytest.raises(DegenerateDataError, match="needed at least 2"):
        mean_interval(scores, clusters=np.zeros(40, dtype=int))


def test_a_second_uncertainty_is_added_in_squares():
    found = joined_limits(Interval(1.0, -2.0, 4.0), Interval(1.1, 1.1 - 4.0, 1.1))
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0 - 5.0, 4.0))


def test_shares_that_scatter_by_chance_alone_are_drawn_together():
    counts = np.array([[4, 6], [6, 4], [5, 5], [5, 5]])
    np.testing.assert_allclose(shrunken_shares(counts), 0.5)
    # subjects that have nothing in common keep their own, with half a picture of each value more
    ends = np.array([[10.5, 0.5], [0.5, 10.5]]) / 11
    np.testing.assert_allclose(shrunken_shares(np.array([[10, 0], [0, 10]])), ends)
    np.testing.assert_allclose(shrunken_shares(np.array([[10, 0], [10, 0]])), ends[[0, 0]])


def test_shrunken_shares_scatter_as_the_true_ones():
    rng = np.random.default_rng(2)
    true = rng.beta(5, 5, 4000)
    first = rng.binomial(10, true)
    found = shrunken_shares(np.stack([first, 10 - first], axis=1))[:, 0]
    # posterior means of Beta(5, 5): 10 / (10 + 10) of the way, and a picture more: 10 / 11 of that
    assert found.std() == pytest.approx((first / 10).std() / 2 * 10 / 11, rel=0.05)


def test_kl_of_ten_subjects_is_held_as_often_as_it_says():
    # its squares have a long tail: the setting that Student's interval holds 9 times in 10
    hits_by_n = np.arange(201)
    weights = stats.betabinom.pmf(hits_by_n, 200, 20, 20)
    shares = np.stack([hits_by_n / 200, 1 - hits_by_n / 200], axis=1)
    truth = float(weights @ measure_shares(shares, np.full(2, 0.5))["kl"])
    rng, hits, n_trials = np.random.default_rng(4), 0, 150
    for seed in range(n_trials):
        first = rng.binomial(200, rng.beta(20, 20, 10))
        counts = np.stack([first, 200 - first], axis=1)
        figure = fairness_figures(counts, resampling=Resampling(200, seed))["kl"]
        hits += figure.low <= truth <= figure.high
    # 95 % within 2 standard errors of 1.8 points
    assert hits / n_trials >= 0.915


def test_subjects_that_are_all_alike_are_not_known_to_be():
    found = fairness_figures(np.tile([[10, 0]], (10, 1)))["mad"]
    # 0 of 100 pictures: a share of 0.036 may hide there
    assert 0.42 < found.low < 0.47
    assert found.high == 0.5
    same = np.tile([[6, 4]], (12, 1))
    change = paired_difference(same, same)
    assert change.low < 0 < change.high


def test_figures_of_few_subjects_go_as_far_as_students_and_kl_as_that_of_its_logarithm():
    rng = np.random.default_rng(3)
    for _ in range(5):
        first = rng.binomial(200, rng.beta(20, 20, size=10))
        counts = np.stack([first, 200 - first], axis=1)
        rows = measure_shares(counts / 200, np.full(2, 0.5))
        found = fairness_figures(counts, resampling=Resampling(200))
        low, high = stats.ttest_1samp(rows["mad"], 0.0).confidence_interval(0.95)
        assert found["mad"].low <= max(low, 0.0) + 1e-12
        assert found["mad"].high >= high - 1e-12
        kl = rows["kl"]
        relative = stats.t.ppf(0.975, 9) * kl.std(ddof=1) / math.sqrt(10) / kl.mean()
        assert found["kl"].high >= kl.mean() * math.exp(min(relative, 1.0)) - 1e-12
