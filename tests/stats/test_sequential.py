"""A confidence sequence holds the truth however one stops, and stopping early saves pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import beta

from probe.errors import DataError
from probe.stats.sequential import (
    FAIR,
    OPEN,
    UNFAIR,
    Band,
    audit_sequentially,
    confidence_sequence,
    fixed_number,
)

N_SIMULATIONS = 2_000
N_MAX = 500


@pytest.fixture(scope="module")
def ends():
    """Both ends after k hits in n pictures, at [n - 1, k]: the same for every path."""
    n, k = np.meshgrid(np.arange(1, N_MAX + 1), np.arange(N_MAX + 1), indexing="ij")
    low, high = confidence_sequence(np.minimum(k, n), n)
    return low, high


def paths(share, n, *, seed=0, n_paths=N_SIMULATIONS):
    """Hits among the first 1 to n pictures, (n_paths, n)."""
    rng = np.random.default_rng(seed)
    return (rng.random((n_paths, n)) < share).cumsum(axis=1)


@given(n=st.integers(1, 300), data=st.data())
def test_the_ends_are_where_the_martingale_reaches_its_bound(n, data):
    k = data.draw(st.integers(0, n))
    low, high = (float(end) for end in confidence_sequence(np.array(k), np.array(n)))
    assert 0 <= low <= k / n <= high <= 1
    for p in {low, high} - {0.0, 1.0}:
        mixture = beta(0.5 + k, 0.5 + n - k) / beta(0.5, 0.5)
        martingale = mixture / (p**k * (1 - p) ** (n - k))
        if 0 < mixture < math.inf and math.isfinite(martingale):
            assert martingale == pytest.approx(20.0, rel=1e-6)


def test_the_martingale_has_mean_one():
    n, p = 12, 0.3
    k = np.arange(n + 1)
    ratio = beta(0.5 + k, 0.5 + n - k) / beta(0.5, 0.5) / (p**k * (1 - p) ** (n - k))
    assert stats.binom.pmf(k, n, p) @ ratio == pytest.approx(1.0)


@given(n=st.integers(1, 200), data=st.data())
def test_men_and_women_are_treated_alike(n, data):
    k = data.draw(st.integers(0, n))
    low, high = confidence_sequence(np.array([k]), np.array([n]))
    other_low, other_high = confidence_sequence(np.array([n - k]), np.array([n]))
    np.testing.assert_allclose([low, high], [1 - other_high, 1 - other_low], atol=1e-12)


def along(ends, hits):
    """The ends along paths of hits, each (n_paths, n)."""
    n = np.arange(hits.shape[1])
    return tuple(end[n, hits] for end in ends)


@pytest.mark.parametrize("share", [0.5, 0.4, 0.1, 0.02])
def test_coverage_holds_under_the_worst_stopping(ends, share):
    low, high = along(ends, paths(share, N_MAX))
    # stop at the first moment at which the interval misses the truth, if there is one
    is_ever_wrong = ((low > share) | (high < share)).any(axis=1)
    assert is_ever_wrong.mean() <= 0.05


def test_looking_again_and_again_at_a_usual_interval_is_wrong_far_more_often():
    n = 400
    hits, total = paths(0.5, n)[:, 9:], np.arange(10, n + 1)
    half = 1.96 * np.sqrt(hits / total * (1 - hits / total) / total)
    is_ever_wrong = (np.abs(hits / total - 0.5) > half).any(axis=1)
    assert is_ever_wrong.mean() > 0.25


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 0.95])
def test_verdicts_are_right_and_come_early(ends, share):
    band = Band(0.3, 0.7)
    low, high = along(ends, paths(share, N_MAX))
    is_fair = (low >= band.low) & (high <= band.high)
    is_settled = is_fair | (low > band.high) | (high < band.low)
    stop = np.where(is_settled.any(axis=1), is_settled.argmax(axis=1), N_MAX - 1)
    rows = np.arange(N_SIMULATIONS)
    assert is_settled.any(axis=1).mean() > 0.99
    covered = (low[rows, stop] <= share) & (share <= high[rows, stop])
    assert covered.mean() >= 0.95
    assert (is_fair[rows, stop] == (band.low <= share <= band.high)).mean() >= 0.95
    if share in (0.05, 0.95):
        # a plan that is fixed before the share is known must be made for one that is hard to tell
        assert (stop + 1).mean() < 0.4 * fixed_number(band, share=0.2)


def test_an_audit_draws_until_it_knows():
    rng = np.random.default_rng(0)
    asked = []

    def draw(n_made, n_more):
        asked.append((n_made, n_more))
        return int((rng.random(n_more) < 0.95).sum()), n_more

    found = audit_sequentially(draw, Band(0.3, 0.7), n_max=200, n_batch=8)
    assert found.verdict == UNFAIR
    assert found.low > 0.7
    assert found.n == sum(n_more for _, n_more in asked) < 50
    assert asked[:2] == [(0, 8), (8, 8)]


def test_an_audit_that_finds_nothing_says_so():
    found = audit_sequentially(
        lambda n_made, n_more: (n_more // 2, n_more), Band(0.4, 0.6), n_max=25
    )
    assert (found.verdict, found.n) == (OPEN, 25)
    missing = audit_sequentially(lambda n_made, n_more: (0, 0), Band(0.4, 0.6), n_max=25)
    assert (missing.verdict, missing.n, missing.low, missing.high) == (OPEN, 0, 0.0, 1.0)


def test_a_fair_model_is_found_fair():
    found = audit_sequentially(
        lambda n_made, n_more: (n_more // 2, n_more), Band(0.3, 0.7), n_max=500
    )
    assert found.verdict == FAIR


def test_a_fixed_plan_has_the_power_it_names():
    band, share = Band(0.3, 0.7), 0.85
    n = fixed_number(band, share=share)
    hits = np.arange(n + 1)
    half = 1.96 * np.sqrt(hits / n * (1 - hits / n) / n)
    power = stats.binom.pmf(hits, n, share) @ (hits / n - half > band.high)
    assert 0.75 < power < 0.97  # the spread is that of the worse end
    with pytest.raises(ValueError, match="is an end of the band"):
        fixed_number(band, share=0.3)


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.4), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_a_band_that_is_none_is_refused(low, high):
    with pytest.raises(ValueError, match="needed 0 <= low < high <= 1"):
        Band(low, high)


def test_wrong_numbers_are_refused():
    with pytest.raises(DataError, match="needed 0 <= k <= n"):
        confidence_sequence(np.array([3]), np.array([2]))
    with pytest.raises(ValueError, match="confidence is 95"):
        confidence_sequence(np.array([1]), np.array([2]), confidence=95)
    with pytest.raises(ValueError, match="n_max is 0"):
        audit_sequentially(lambda n_made, n_more: (0, 0), Band(0.4, 0.6), n_max=0)
