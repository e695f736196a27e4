"""Bands cover all cells at once, and shares of a difference are exact."""

import numpy as np
import pytest
from scipy.stats import norm

from probe.latent.tracing.bands import band, occupation_draws, shares_of_difference
from probe.stats.resampling import Resampling


def test_one_cell_has_the_usual_interval_and_many_a_wider_one():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(20_000, 50))
    _, one = band(np.zeros(1), draws[:, :1], n=10_000)
    _, many = band(np.zeros(50), draws, n=10_000)
    # 20,000 draws know the 97.5 % point to about 0.02
    assert one[0] == pytest.approx(norm.ppf(0.975), abs=0.05)
    together = norm.ppf(0.5 + 0.5 * 0.95 ** (1 / 50))  # 50 independent cells, all at once
    np.testing.assert_allclose(many, together, rtol=0.04)


def test_bands_cover_all_cells_together_as_often_as_they_say():
    rng = np.random.default_rng(1)
    n, n_cells, n_worlds = 40, 30, 200
    draws = occupation_draws(n, resampling=Resampling(500, 2))
    missed = 0
    for _ in range(n_worlds):
        values = rng.normal(size=(n_cells, n))
        low, high = band(values.mean(axis=1), draws @ values.T / n, n=n)
        missed += bool(((low > 0) | (high < 0)).any())
    # 7.2 % in 1,000 worlds, so that 200 worlds know it to 1.8 %
    assert 0.02 < missed / n_worlds < 0.13


def test_a_cell_that_never_varies_has_no_width():
    draws = np.column_stack([np.ones(100), np.random.default_rng(0).normal(size=100)])
    low, high = band(np.array([1.0, 0.0]), draws, n=40)
    assert low[0] == high[0] == 1.0
    assert low[1] < 0 < high[1]
    assert band(np.ones(1), np.ones((5, 1)), n=5) == (1.0, 1.0)


def test_shares_are_sums_over_sums_and_the_whole_is_one():
    groups, whole = np.array([0, 0, 1, 2]), np.array([1.0, 3.0, 2.0, 2.0])
    parts = np.array([whole, whole / 4, [0.0, 3.0, 0.0, 0.0], np.zeros(4)])
    is_there = np.ones((4, 4), dtype=bool)
    is_there[2] = [True, True, False, False]
    draws = occupation_draws(3, resampling=Resampling(50, 0))
    table = shares_of_difference(parts, is_there, whole, groups, draws)
    np.testing.assert_allclose(table["value"], [1.0, 0.25, 0.75, 0.0])
    # The same share in every pair has no spread; 3/4 is the same in all samples, of one occupation.
    np.testing.assert_allclose(table["low"], table["value"])
    assert table["n"].tolist() == [4, 4, 2, 4]
