import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from probe.audit import failures
from probe.stats.interval import Interval
from probe.stats.proportion import binomial_interval

N = np.full(4, 20)


@given(hits=st.integers(0, 30), size=st.sampled_from([1, 5, 30]))
def test_a_share_lies_in_its_interval(hits, size):
    found = failures.share_over(np.arange(30) // size, np.arange(30) < hits)
    assert found["value"] == hits / 30
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert (found["n"], found["n_images"]) == (30 // size, 30)


def test_none_of_500_pictures_of_10_objects_is_none_of_10():
    found = failures.share_over(np.arange(500) // 50, np.zeros(500, dtype=bool), unit="objects")
    assert (found["low"], found["high"]) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert (found["unit"], found["n"], found["n_images"]) == ("objects", 10, 500)


def test_one_occupation_of_40_that_fails_wholly_says_little_of_other_occupations():
    subjects = np.arange(40 * 200) // 200
    found = failures.share_over(subjects, subjects > 0)
    assert found["value"] == 0.975
    assert found["low"] <= 0.87  # 39 of 40 by Clopper and Pearson; 0.971 over pictures


def test_pictures_of_a_single_subject_are_one_observation():
    found = failures.share_over(["cook"] * 20, np.zeros(20, dtype=bool))
    assert (found["low"], found["high"]) == pytest.approx((0.0, 0.975))
    nothing = failures.share_over([], np.array([], dtype=bool))
    assert (nothing["low"], nothing["high"], nothing["n"]) == (0.0, 1.0, 0)


@given(n=st.integers(1, 200), fair=st.sampled_from([0.5, 0.25]))
def test_a_fair_model_leans_in_at_most_one_case_of_twenty(n, fair):
    hits = np.arange(n + 1)
    leaning = failures.is_skewed(hits, np.full(n + 1, n), fair)
    assert binom.pmf(hits[leaning], n, fair).sum() <= 0.05 + 1e-12


def test_a_gate_misses_what_leans_and_stays_as_it_was():
    hits, untouched = np.array([0, 20, 10, 19]), np.array([True, False, True, True])
    found = failures.gate_missed(hits, N, untouched, 0.5)
    assert (found["value"], found["n"]) == (2 / 3, 3)  # the third subject does not lean


@given(k=st.integers(0, 40), other=st.integers(0, 20), fair=st.sampled_from([0.5, 0.3]))
def test_overcorrection_is_a_bias_to_the_other_side_by_the_exact_intervals(k, other, fair):
    found = failures.overcorrected(*(np.array([of]) for of in (k, other, 40, 20)), fair)
    one, two = binomial_interval(k, 40), binomial_interval(other, 20)
    assert found["value"] == ((one.high < fair < two.low) or (two.high < fair < one.low))


def test_a_smaller_gain_on_other_occupations_is_overfitting():
    trained = Interval(value=-0.2, low=-0.25, high=-0.16)
    held_out = Interval(value=-0.1, low=-0.18, high=0.0)
    found = failures.overfit(trained, held_out)
    assert found["value"] == pytest.approx(0.1)
    assert found["low"] == pytest.approx(0.1 - np.hypot(0.08, 0.04))
    assert found["high"] == pytest.approx(0.1 + np.hypot(0.1, 0.05))


def pairs(*cells):
    """Pairs of (subject, shown by neither, by base alone, by corrected alone, by both)."""
    kinds = [(False, False), (True, False), (False, True), (True, True)]
    rows = [row for name, *n in cells for kind, k in zip(kinds, n, strict=True)
            for row in [(name, *kind)] * k]  # fmt: skip
    return pd.DataFrame(rows, columns=["subject", "base", "corrected"])


def test_who_moved_away_from_even_is_named_and_tested_by_the_pairs_that_differ():
    cells = [("cook", 10, 0, 10, 0), ("pilot", 4, 0, 6, 10), ("nurse", 0, 9, 1, 10)]
    found = failures.moved_away(pairs(*cells), 0.5)
    assert (found["value"], found["n"]) == (1 / 3, 3)  # the cook reaches even, the nurse nears it
    [pilot] = found["subjects"]
    assert (pilot["subject"], pilot["base"], pilot["corrected"]) == ("pilot", 0.5, 0.8)
    assert pilot["p"] == pytest.approx(2**-6)  # all 6 differ one way; away from even is up alone
    assert pilot["p_holm"] == pytest.approx(3 * 2**-6)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(0, 12), st.integers(0, 30), st.sampled_from([0.5, 0.25]))
def test_a_correction_without_effect_moves_away_beyond_chance_in_one_case_of_twenty(
    both, m, neither, fair
):
    chance = 0.0
    for k in range(m + 1):
        if both + m + neither:
            found = failures.moved_away(pairs(("cook", neither, m - k, k, both)), fair)
            if any(of["p"] <= 0.05 for of in found["subjects"]):
                chance += binom.pmf(k, m, 0.5)
    assert chance <= 0.05 + 1e-12
