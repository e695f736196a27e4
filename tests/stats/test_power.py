"""Numbers of pictures and subjects, against exact tests and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from probe.stats.power import images_needed, subjects_needed


def exact_power(n, true):
    hits = np.arange(n + 1)
    low, high = stats.binom.ppf(0.025, n, 0.5), stats.binom.isf(0.025, n, 0.5)
    return stats.binom.pmf(hits, n, true) @ ((hits < low) | (hits > high))


@pytest.mark.parametrize("difference", [0.1, 0.2, 0.45])
def test_images_are_the_fewest_that_reach_the_power(difference):
    n = images_needed(difference)
    assert all(exact_power(more, 0.5 + difference) >= 0.8 for more in range(n, n + 40))
    assert exact_power(n - 1, 0.5 + difference) < 0.8


def test_subjects_have_the_power_of_the_t_test():
    n = subjects_needed(0.05, n_images=50, spread=0.08)
    scale = math.sqrt(0.08**2 + 2 * 0.25 / 50)
    rng = np.random.default_rng(0)
    draws = rng.normal(0.05, scale, size=(20_000, n))
    statistic = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(n)
    power = (np.abs(statistic) > stats.t.ppf(0.975, n - 1)).mean()
    # 20,000 simulations know a power to 0.3 points; one subject fewer is less than 0.8
    assert 0.79 < power < 0.83


def test_more_images_need_fewer_subjects_but_never_fewer_than_their_spread_asks():
    needed = [subjects_needed(0.05, n_images=n, spread=0.1) for n in (10, 100, 10_000, 10**9)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] > 30
