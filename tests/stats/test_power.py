"""Numbers of pictures and subjects, against exact tests and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from probe.stats.power import images_needed, subjects_needed


def exact_power(n, share, true):
    hits = np.arange(n + 1)
    low, high = stats.binom.ppf(0.025, n, share), stats.binom.isf(0.025, n, share)
    return stats.binom.pmf(hits, n, true) @ ((hits < low) | (hits > high))


@pytest.mark.parametrize(("difference", "share"), [(0.1, 0.5), (0.2, 0.5), (0.1, 0.3), (0.3, 0.8)])
def test_pictures_are_the_fewest_that_reach_the_power(difference, share):
    n = images_needed(difference, share=share)
    true = share + difference if share + difference <= 1 else share - difference
    assert exact_power(n, share, true) >= 0.8
    assert all(exact_power(more, share, true) >= 0.8 for more in range(n, n + 40))
    assert exact_power(n - 1, share, true) < 0.8


def test_the_normal_formula_is_near():
    # (1.96 * 0.5 + 0.84 * 0.49)^2 / 0.1^2 = 194; an exact test is a little more careful
    assert 194 <= images_needed(0.1) <= 215


def test_subjects_have_the_power_of_the_t_test():
    n = subjects_needed(0.05, n_images=50, spread=0.08)
    scale = math.sqrt(0.08**2 + 2 * 0.25 / 50)
    rng = np.random.default_rng(0)
    draws = rng.normal(0.05, scale, size=(20_000, n))
    statistic = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(n)
    power = (np.abs(statistic) > stats.t.ppf(0.975, n - 1)).mean()
    # 20,000 simulations know a power to 0.3 points; one subject fewer is less than 0.8
    assert 0.79 < power < 0.83


def test_more_pictures_need_fewer_subjects_but_never_fewer_than_their_spread_asks():
    needed = [subjects_needed(0.05, n_images=n, spread=0.1) for n in (10, 100, 1000, 10_000)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] >= subjects_needed(0.05, n_images=10**9, spread=0.1) > 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: images_needed(0.0), "difference is 0.0"),
        (lambda: images_needed(1.5), "difference is 1.5"),
        (lambda: images_needed(0.7, share=0.6), "cannot differ by 0.7"),
        (lambda: images_needed(0.1, power=1.0), "power is 1.0"),
        (lambda: images_needed(1e-4), "needs more than 100000 pictures"),
        (lambda: subjects_needed(0.1, n_images=0), "n_images is 0"),
        (lambda: subjects_needed(1e-4, n_images=1, spread=1.0), "more than 100000 subjects"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
