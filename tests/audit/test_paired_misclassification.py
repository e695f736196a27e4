"""Two models under one classifier: its errors out of the difference, or bounded."""

from __future__ import annotations

import numpy as np
import pytest

from probe.audit.fairness import paired_difference
from probe.audit.misclassification.corrected import calibrated_difference
from probe.audit.misclassification.sample import Calibration
from probe.audit.misclassification.sensitivity import difference_holds_up_to
from probe.errors import DegenerateDataError, ShapeError
from probe.stats.resampling import Resampling

VALUES = ["woman", "man"]
RATES = np.array([[0.95, 0.05], [0.25, 0.75]])


def seen(true, n, rng):
    hits = rng.binomial(n, np.stack([true, 1 - true], axis=1) @ RATES[:, 0])
    return np.stack([hits, n - hits], axis=1)


def planted(seed, n_subjects=40, n=400):
    """What the classifier sees of two models, and the difference that there truly is."""
    rng = np.random.default_rng(seed)
    before = rng.beta(0.7, 0.7, n_subjects)
    after = 0.5 + 0.4 * (before - 0.5)
    truth = np.abs(after - 0.5).mean() - np.abs(before - 0.5).mean()
    known = Calibration(VALUES, np.stack([rng.multinomial(1000, row) for row in RATES]))
    return seen(before, n, rng), seen(after, n, rng), known, truth


def test_a_planted_difference_is_found_where_the_classifier_shows_a_smaller_one():
    before, after, known, truth = planted(0)
    plain = paired_difference(before, after, resampling=Resampling(200))
    found = calibrated_difference(before, after, known, resampling=Resampling(200))
    assert abs(plain.value) < abs(truth) - 0.03
    assert found.value == pytest.approx(truth, abs=0.015)
    assert found.low < truth < found.high


def test_a_perfect_classifier_leaves_the_difference():
    before, after, _, _ = planted(1)
    perfect = Calibration(VALUES, np.diag([10**9, 10**9]))
    plain = paired_difference(before, after, resampling=Resampling(500))
    found = calibrated_difference(before, after, perfect, resampling=Resampling(500))
    assert found.value == pytest.approx(plain.value)
    # other draws of the same bootstrap
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.02)


def test_a_smaller_sample_makes_a_wider_interval():
    before, after, _, _ = planted(2, n=2000)
    widths = []
    for n in (20, 20_000):
        known = Calibration(VALUES, np.round(RATES * n).astype(int))
        found = calibrated_difference(before, after, known, resampling=Resampling(400))
        widths.append(found.high - found.low)
    assert widths[0] > 1.2 * widths[1]


@pytest.mark.slow
def test_the_interval_holds_the_difference_of_the_population():
    # of these subjects: mean |p - 1/2| of Beta(0.7, 0.7), times 0.4 - 1
    draws = np.random.default_rng(9).beta(0.7, 0.7, 200_000)
    population = -0.6 * np.abs(draws - 0.5).mean()
    hits, n_trials = 0, 100
    for seed in range(n_trials):
        before, after, known, _ = planted(seed, n_subjects=20, n=100)
        found = calibrated_difference(before, after, known, resampling=Resampling(100, seed))
        hits += found.low <= population <= found.high
    assert hits / n_trials >= 0.88  # 95 % less 3 standard errors of 2.2 points


def test_tables_of_other_shape_and_guessing_classifiers_are_refused():
    counts, known = np.array([[5, 5], [2, 8]]), Calibration(VALUES, np.diag([9, 9]))
    with pytest.raises(ShapeError, match="needed the same subjects and values in both"):
        calibrated_difference(counts, counts[:1], known)
    with pytest.raises(DegenerateDataError, match="hardly better than a guess"):
        calibrated_difference(counts, counts, Calibration(VALUES, np.full((2, 2), 50)))


# How large the errors may be


def holds(before, after):
    difference = paired_difference(before, after, resampling=Resampling(500))
    return difference_holds_up_to(before, after, difference)


def test_a_great_change_stands_more_error_than_a_small_one():
    one_sided = np.array([[900, 100], [100, 900]] * 10)
    great, small = (
        np.array([[half, 1000 - half], [1000 - half, half]] * 10) for half in (550, 800)
    )
    for which in (0, 1):
        assert holds(one_sided, great)[which] > holds(one_sided, small)[which] > 0


def test_errors_of_its_own_on_each_side_break_a_conclusion_sooner():
    before, after, _, _ = planted(3)
    alike, unlike = holds(before, after)
    assert 0 < unlike < alike


def test_the_bound_is_where_the_arithmetic_says():
    # every subject 0.8, then 0.7: with a rate x of men seen as women before, and of women seen as
    # men after, true shares are (0.8 - x) / (1 - x) and 0.7 / (1 - x), equal at x = 0.1; endless
    # pictures leave no interval, and the grid stops one step of 0.005 short
    before, after = (np.tile([[of, 10**7 - of]], (12, 1)) for of in (8 * 10**6, 7 * 10**6))
    assert holds(before, after)[1] == pytest.approx(0.1, abs=0.0051)
    # the same on both sides, and 0.3 of women seen as men: 0.7 may be all women, as 0.8 may
    assert holds(before, after)[0] == pytest.approx(0.3, abs=0.0051)


def test_a_rise_is_held_as_a_fall_is():
    before, after, _, _ = planted(4)
    # other draws of the same bootstrap: one step of 0.005
    assert holds(after, before) == pytest.approx(holds(before, after), abs=0.0051)


def test_what_is_within_chance_has_no_conclusion_to_lose():
    rng = np.random.default_rng(5)
    tables = [np.stack([hits := rng.binomial(20, 0.5, 30), 20 - hits], axis=1) for _ in range(2)]
    assert holds(*tables) is None


def test_sensitivity_is_about_two_values():
    counts = np.array([[1, 2, 3], [6, 0, 0], [6, 1, 0]])
    fairer = np.array([[20, 20, 20]] * 3)
    with pytest.raises(ShapeError, match="has 3 values; needed 2"):
        holds(counts, fairer)
