"""Correlations and slopes with intervals: against scipy, statsmodels and planted answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.correlation import share_correlation, share_regression
from probe.stats.resampling import percentile_limits


def subjects(seed, *, n=40, slope=-0.3, noise=0.05):
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.02, 0.95, n)
    return slope * (shares - 0.5) + noise * rng.normal(size=n), shares


def test_r_is_that_of_scipy_and_the_interval_no_narrower_than_fishers():
    bias_scores, shares = subjects(seed=0)
    result = share_correlation(bias_scores, shares)
    reference = stats.pearsonr(bias_scores, shares)
    assert result.r == pytest.approx(reference.statistic, abs=1e-14)
    fisher = reference.confidence_interval(0.95)
    assert result.low <= fisher.low + 1e-12
    assert result.high >= fisher.high - 1e-12
    assert result.n == 40


def test_five_points_near_a_line_have_a_correlation_near_one():
    """A bootstrap of few points repeats them until any correlation comes out: [-1, 0.9999]."""
    shares = np.arange(5) / 4
    bias_scores = -shares + np.array([0.02, -0.01, 0.0, -0.03, 0.02])
    found, line = share_correlation(bias_scores, shares), share_regression(bias_scores, shares)
    fisher = stats.pearsonr(bias_scores, shares).confidence_interval(0.95)
    assert -1 < found.low <= fisher.low
    assert fisher.high <= found.high < -0.9
    assert line.low < -1 < line.high < -0.8


@pytest.mark.parametrize("n", [5, 12])
def test_p_and_interval_of_a_correlation_and_of_a_slope_decide_alike(n):
    found = []
    for seed in range(60):
        data = subjects(seed=seed, n=n, slope=-0.15, noise=0.06)
        for of in (share_correlation(*data), share_regression(*data)):
            found.append(of.p <= 0.05)
            assert found[-1] == (not of.low <= 0.0 <= of.high)
    assert 0 < sum(found) < len(found)


def test_the_standard_error_of_the_slope_allows_another_spread_at_each_share():
    import statsmodels.api as sm

    shares = np.random.default_rng(7).uniform(size=30)
    bias_scores = (shares - 0.5) * np.random.default_rng(8).normal(size=30)
    model = sm.OLS(bias_scores, sm.add_constant(shares))
    reference = model.fit(cov_type="HC3", use_t=True)
    assert reference.bse[1] > model.fit().bse[1]
    found = share_regression(bias_scores, shares)
    assert (found.low, found.high) == pytest.approx(reference.conf_int()[1])
    assert found.p == pytest.approx(reference.pvalues[1])


def test_a_straight_line_is_certain():
    shares = np.linspace(0.1, 0.9, 10)
    r, line = (of(0.3 - 0.5 * shares, shares) for of in (share_correlation, share_regression))
    assert (r.r, r.low, r.high) == pytest.approx((-1.0, -1.0, -1.0), abs=1e-12)
    assert (line.slope, line.low, line.high) == pytest.approx((-0.5, -0.5, -0.5), abs=1e-12)
    assert (line.intercept, line.r2, line.r2_low) == pytest.approx((0.3, 1.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("estimate", [share_correlation, share_regression])
@pytest.mark.parametrize(
    ("bias_scores", "shares", "error", "message"),
    [
        (np.arange(5.0), np.arange(4.0), ShapeError, "5 bias scores and 4 shares"),
        (np.ones((5, 2)), np.arange(5.0), ShapeError, "one dimension"),
        (np.arange(2.0), np.arange(2.0), DataError, "at least 3 subjects, got 2"),
        (np.arange(3.0), np.array([0.1, np.nan, 0.3]), DataError, "1 of 3 values of share of"),
        (np.full(5, 0.2), np.arange(5.0), DegenerateDataError, "5 subjects have the same bias"),
        (np.arange(5.0), np.full(5, 0.2), DegenerateDataError, "same share of women"),
    ],
)
def test_input_without_a_correlation_is_refused(estimate, bias_scores, shares, error, message):
    with pytest.raises(error, match=message):
        estimate(bias_scores, shares)


def test_three_subjects_say_nothing():
    result = share_correlation(np.array([0.3, 0.1, -0.2]), np.array([0.1, 0.5, 0.8]))
    assert (result.p, result.low, result.high) == (1.0, -1.0, 1.0)


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_the_unit_and_the_zero_of_the_bias_score_do_not_matter(scale, shift):
    bias_scores, shares = subjects(seed=2)
    plain, line = share_correlation(bias_scores, shares), share_regression(bias_scores, shares)
    moved = share_correlation(scale * bias_scores + shift, shares)
    moved_line = share_regression(scale * bias_scores + shift, shares)
    assert moved_line.slope == pytest.approx(scale * line.slope, rel=1e-9)
    assert moved_line.r2 == pytest.approx(line.r2, abs=1e-9)
    # bias scores scaled to 0.003 and shifted by 10 keep 12 digits
    assert (moved.r, moved.low, moved.high) == pytest.approx(
        (plain.r, plain.low, plain.high), abs=1e-9
    )


def test_the_line_is_that_of_scipy_and_its_r2_that_of_the_correlation():
    bias_scores, shares = subjects(seed=0)
    found, reference = share_regression(bias_scores, shares), stats.linregress(shares, bias_scores)
    assert found.slope == pytest.approx(reference.slope, abs=1e-14)
    assert found.intercept == pytest.approx(reference.intercept, abs=1e-14)
    assert found.p >= reference.pvalue
    assert found.r2 == pytest.approx(share_correlation(bias_scores, shares).r ** 2, abs=1e-12)
    assert found.n == 40


def test_draws_without_any_figure_have_no_interval():
    with pytest.raises(DegenerateDataError, match="undefined in all 2 bootstrap draws"):
        percentile_limits(np.array([np.nan, np.inf]))
