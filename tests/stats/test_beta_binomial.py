"""Beta-binomial regression: value against scipy, slope against differences, peak against both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import approx_fprime
from scipy.special import expit

from probe.errors import DegenerateDataError
from probe.stats.beta_binomial import minus_log_posterior, posterior


def counts(seed, *, n=20):
    rng = np.random.default_rng(seed)
    x, images = rng.normal(size=n), rng.integers(1, 60, size=n)
    return x, rng.binomial(images, expit(x + rng.normal(size=n))), images


def by_scipy(parameters, x, women, images):
    a, b, c = parameters
    mean, precision = expit(a + b * x), np.exp(-c)
    fit = stats.betabinom.logpmf(women, images, mean * precision, (1 - mean) * precision).sum()
    prior = stats.norm.logpdf([a, b], scale=5).sum() + stats.logistic.logpdf(c)
    return -(fit + prior)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_posterior_is_that_of_scipy_but_for_a_constant(seed):
    data = counts(seed)
    first, second = np.random.default_rng(seed).normal(size=(2, 3))
    found = minus_log_posterior(first, *data)[0] - minus_log_posterior(second, *data)[0]
    assert found == pytest.approx(by_scipy(first, *data) - by_scipy(second, *data), abs=1e-8)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_slope_is_that_of_differences(seed):
    data = counts(seed)
    where = np.random.default_rng(seed).normal(size=3)
    expected = approx_fprime(where, lambda p: minus_log_posterior(p, *data)[0], 1e-6)
    # forward differences of a cost of some hundreds with steps of 1e-6
    np.testing.assert_allclose(minus_log_posterior(where, *data)[1], expected, rtol=1e-3, atol=1e-2)


def test_a_search_that_ends_elsewhere_than_at_a_peak_is_refused():
    """The covariance was not even positive."""
    x = np.linspace(-1.7, 1.7, 20)
    with pytest.raises(DegenerateDataError, match="20 subjects with up to 1,000,000,000 images"):
        posterior(x, np.full(20, 5 * 10**8), np.full(20, 10**9))


def test_nothing_near_the_peak_is_higher_and_the_fall_is_that_of_the_covariance():
    data = counts(0)
    peak, covariance = posterior(*data)
    top = minus_log_posterior(peak, *data)[0]
    scales, axes = np.linalg.eigh(covariance)
    for scale, axis in zip(np.sqrt(scales), axes.T, strict=True):
        fall = [minus_log_posterior(peak + t * scale * axis, *data)[0] - top for t in (-0.1, 0.1)]
        # a tenth of a standard deviation each way costs 0.005, averaged over both sides
        assert np.mean(fall) == pytest.approx(0.005, rel=0.01)
