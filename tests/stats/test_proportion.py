"""Intervals of proportions: scipy's exact ones, and what is no proportion."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probe.errors import DataError
from probe.stats.proportion import binomial_interval, proportion_interval


@given(n=st.integers(1, 500), data=st.data())
def test_the_interval_of_a_share_is_scipys_exact_interval(n, data):
    hits = data.draw(st.integers(0, n))
    confidence = data.draw(st.sampled_from([0.8, 0.95, 0.99]))
    found = binomial_interval(hits, n, confidence=confidence)
    reference = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    assert found.value == hits / n
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_share_of_all_or_nothing_keeps_an_interval():
    assert astuple(binomial_interval(0, 10))[:3] == pytest.approx((0.0, 0.0, 0.3085), abs=1e-4)
    assert astuple(binomial_interval(10, 10))[:3] == pytest.approx((1.0, 0.6915, 1.0), abs=1e-4)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_share_of_nothing_is_refused(hits, n):
    with pytest.raises(DataError, match=f"{hits} hits in {n} trials"):
        binomial_interval(hits, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_a_confidence_out_of_range_is_named(confidence):
    with pytest.raises(ValueError, match=f"confidence is {confidence}"):
        binomial_interval(1, 2, confidence=confidence)


@pytest.mark.parametrize("n_misses", [1, 2, 4])
def test_a_miss_never_makes_the_interval_of_clusters_narrower_than_none(n_misses):
    """With one miss in 4,000 rows of 40 clusters the lower limit was 0.998, without any 0.912."""
    clusters, is_hit = np.arange(4000) // 100, np.ones(4000, dtype=bool)
    none = proportion_interval(is_hit, clusters=clusters)
    is_hit[100 * np.arange(n_misses)] = False
    found = proportion_interval(is_hit, clusters=clusters)
    assert found.low < none.low == pytest.approx(0.025 ** (1 / 40))


@pytest.mark.parametrize(("share", "rho"), [(0.5, 0.3), (0.9, 0.1), (0.97, 0.3)])
def test_the_interval_covers_a_proportion_of_clustered_rows(share, rho):
    rng, hits = np.random.default_rng(0), 0
    a, b = share * (1 / rho - 1), (1 - share) * (1 / rho - 1)
    for _ in range(300):
        is_hit = rng.random((20, 10)) < rng.beta(a, b, (20, 1))
        found = proportion_interval(is_hit.ravel(), clusters=np.arange(200) // 10)
        hits += found.low <= share <= found.high
    assert hits / 300 >= 0.92  # 95 % less two standard errors
