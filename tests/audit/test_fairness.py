"""Fairness figures with intervals, comparisons and shares: references, coverage, real counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from probe.audit.fairness import departure_p, fairness_figures, paired_difference
from probe.audit.measures import MEASURES, measure_shares, noise_floor
from probe.audit.subject_intervals import shrunken_shares
from probe.stats.resampling import Resampling

tables = arrays(np.int64, (4, 3), elements=st.integers(0, 20)).map(
    lambda c: c + np.eye(3)[[0, 1, 2, 0]].astype(int)
)


def draw(rng, *, n_subjects=40, n_images=20, spread=2.0):
    """Counts of two values whose shares are spread over subjects as Beta(spread, spread)."""
    first = rng.binomial(n_images, rng.beta(spread, spread, n_subjects))
    return np.stack([first, n_images - first], axis=1)


def test_figures_are_averaged_over_subjects():
    figures = fairness_figures(np.array([[3, 1], [4, 4], [0, 10]]))
    values = {name: figure.value for name, figure in figures.items()}
    assert values == pytest.approx(
        {
            "mad": (0.25 + 0 + 0.5) / 3,
            "fd": math.sqrt(2) * 0.75 / 3,
            "kl": (0.75 * math.log(1.5) + 0.25 * math.log(0.5) + math.log(2)) / 3,
        }
    )


def test_a_fair_model_scores_the_floor():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(12, [0.25] * 4, size=5_000)
    figures = fairness_figures(counts, resampling=Resampling(10))
    for name in MEASURES:
        # 5,000 subjects place the mean to 0.9 %
        assert figures[name].value == pytest.approx(figures[name].floor, rel=0.03), name


def test_a_target_moves_what_is_fair():
    counts = np.array([[3, 1], [9, 3]])
    assert fairness_figures(counts)["mad"].value == pytest.approx(0.25)
    figures = fairness_figures(counts, target=np.array([0.75, 0.25]))
    assert {name: figure.value for name, figure in figures.items()} == pytest.approx(
        dict.fromkeys(MEASURES, 0.0)
    )
    by_subject = fairness_figures(counts, target=np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert by_subject["mad"].value == pytest.approx(0.125)
    expected = (noise_floor(4, target=np.array([0.75, 0.25]))["mad"] + noise_floor(12)["mad"]) / 2
    assert by_subject["mad"].floor == pytest.approx(expected)


@settings(max_examples=30)
@given(counts=tables, seed=st.integers(0, 2**32 - 1))
def test_every_figure_lies_in_its_interval(counts, seed):
    for figure in fairness_figures(counts, resampling=Resampling(50, seed)).values():
        assert 0 <= figure.low <= figure.value + 1e-12
        assert figure.value <= figure.high + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "n_subjects", "n_images", "spread"),
    [
        ("mad", 40, 10, 2.0),
        ("mad", 40, 20, 0.5),
        ("mad", 40, 20, 50.0),
        ("kl", 10, 200, 20.0),  # a long tail: Student's interval holds it 9 times in 10
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(measure, n_subjects, n_images, spread):
    outcomes = np.arange(n_images + 1)
    weights = stats.betabinom.pmf(outcomes, n_images, spread, spread)
    shares = np.stack([outcomes, n_images - outcomes], axis=1) / n_images
    truth = weights @ measure_shares(shares, np.full(2, 0.5))[measure]
    rng, hits, n_trials = np.random.default_rng(7), 0, 150
    for seed in range(n_trials):
        counts = draw(rng, n_subjects=n_subjects, n_images=n_images, spread=spread)
        figure = fairness_figures(counts, resampling=Resampling(200, seed))[measure]
        hits += figure.low <= truth <= figure.high
    # 95 % within 2 standard errors of 1.8 points
    assert hits / n_trials >= 0.915


@pytest.mark.parametrize("target", [None, np.array([0.2, 0.8])])
def test_no_interval_ends_beyond_what_the_worst_model_scores(target):
    figures = fairness_figures(np.array([[50, 50], [99, 1]]), target=target)
    worst = fairness_figures(np.array([[9, 0], [9, 0]]), target=target)
    assert figures["mad"].high == worst["mad"].value  # two subjects say next to nothing
    for name, figure in figures.items():
        assert figure.value <= figure.high <= worst[name].value + 1e-12


def test_a_single_subject_has_the_interval_of_its_images():
    figure = fairness_figures(np.array([[160, 40]]), resampling=Resampling(20_000))["mad"]
    error = math.sqrt(0.8 * 0.2 / 200)  # far from fair, |p - 1/2| varies as p does
    assert (figure.high - figure.low) / 2 == pytest.approx(1.96 * error, rel=0.05)


@given(k=st.integers(0, 30), share=st.sampled_from([0.5, 0.3]))
def test_a_subject_departs_just_where_its_exact_interval_excludes_the_target(k, share):
    [p] = departure_p(np.array([[k, 30 - k]]), target=np.array([share, 1 - share]))
    limits = stats.binomtest(k, 30).proportion_ci(method="exact")
    assert (p <= 0.05) == (not limits.low <= share <= limits.high)
    if share == 0.5:
        assert p == pytest.approx(stats.binomtest(k, 30).pvalue)


def test_fair_subjects_of_three_values_rarely_depart():
    target = np.array([0.5, 0.3, 0.2])
    counts = np.random.default_rng(0).multinomial(40, target, size=4000)
    assert (departure_p(counts, target=target) <= 0.05).mean() <= 0.05
    assert departure_p(np.array([[0, 40, 0]]), target=target)[0] < 1e-9


def test_a_fairer_second_model_has_a_negative_difference():
    unfair, fair = np.array([[18, 2], [2, 18], [16, 4]]), np.array([[11, 9], [9, 11], [10, 10]])
    found = paired_difference(unfair, fair)
    assert found.value == pytest.approx((0.05 - 0.4 + 0.05 - 0.4 + 0 - 0.3) / 3)
    assert found.low <= found.value <= found.high < 0
    back = paired_difference(fair, unfair)
    assert back.value == pytest.approx(-found.value)


def test_two_models_cannot_differ_by_more_than_the_worst_from_the_best():
    before, after = np.array([[10, 10], [20, 0]]), np.array([[0, 20], [10, 10]])
    found = paired_difference(before, after)  # 0.5 and -0.5: Student's t of 2 gave [-6.35, 6.35]
    assert (found.low, found.high) == (-0.5, 0.5)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n_subjects=st.integers(1, 12), kept=st.floats(0.2, 1.0))
def test_the_interval_excludes_zero_just_where_p_is_small(seed, n_subjects, kept):
    rng = np.random.default_rng(seed)
    shares = rng.beta(0.5, 0.5, n_subjects)
    first, second = rng.binomial(20, shares), rng.binomial(20, 0.5 + kept * (shares - 0.5))
    before, after = (np.stack([hits, 20 - hits], axis=1) for hits in (first, second))
    found = paired_difference(before, after, resampling=Resampling(199, seed))
    if not 0.04 < found.p < 0.06:  # quantiles are interpolated
        assert (found.p <= 0.05) == (found.low > 0 or found.high < 0)


def test_five_subjects_that_all_improve_have_an_interval_and_a_p_that_agree():
    before = np.array([[20, 0]] * 5)
    after = np.array([[10, 10], [11, 9], [9, 11], [12, 8], [10, 10]])
    found = paired_difference(before, after)
    assert found.high < 0
    assert found.p <= 0.05  # sign flips of 5 subjects never go below 0.0625


@pytest.mark.slow
def test_models_that_do_not_differ_are_told_apart_as_often_as_chance():
    rng = np.random.default_rng(9)
    n_trials, n_small, n_covered = 120, 0, 0
    for seed in range(n_trials):
        shares = rng.beta(2, 2, 12)
        first, second = (rng.binomial(20, shares) for _ in range(2))
        found = paired_difference(
            np.stack([first, 20 - first], axis=1),
            np.stack([second, 20 - second], axis=1),
            resampling=Resampling(200, seed),
        )
        n_small += found.p <= 0.05
        n_covered += found.low <= 0 <= found.high
    # at most 5 %, and at least 95 %, within 3 standard errors of 2 points
    assert n_small / n_trials <= 0.11
    assert n_covered / n_trials >= 0.89


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
