"""A classifier's errors, taken out or bounded: closed forms, planted truth, coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.audit.fairness import fairness_figures, paired_difference
from probe.audit.misclassification.corrected import (
    calibrated_difference,
    calibrated_figures,
    calibrated_share,
    limits_by_rates,
    rogan_gladen,
)
from probe.audit.misclassification.sample import Calibration, read_calibration
from probe.audit.misclassification.sensitivity import difference_holds_up_to, holds_up_to
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling

VALUES = ["woman", "man"]
THREE = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]])


@given(share=st.floats(0, 1), sensitivity=st.floats(0.6, 1), specificity=st.floats(0.6, 1))
def test_two_values_have_the_published_formula(share, sensitivity, specificity):
    rates = np.array([[sensitivity, 1 - sensitivity], [1 - specificity, specificity]])
    seen = np.array([share, 1 - share]) @ rates
    found = rogan_gladen(seen, rates)
    formula = (seen[0] + specificity - 1) / (sensitivity + specificity - 1)
    assert found[0] == pytest.approx(formula, abs=1e-9) == pytest.approx(share, abs=1e-9)


def test_more_values_are_solved_as_well():
    true = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(rogan_gladen(true @ THREE, THREE), true, atol=1e-12)


@given(seen=st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_of_more_values_the_estimate_is_the_most_likely_share_of_a_fine_grid(seen):
    """Clipping and renormalising is not: of [0, 0, 1] seen it made [0.036, 0, 0.964]."""
    q = np.array(seen) / sum(seen)
    steps = np.linspace(0, 1, 101)
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1 + 1e-9])

    def likelihood(shares):
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(shares @ THREE, 0))
        return np.where(q > 0, q * np.where(q > 0, logs, 0.0), 0.0).sum(axis=-1)

    found = rogan_gladen(q, THREE)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0)
    assert likelihood(found) >= likelihood(np.maximum(grid, 0.0)).max() - 1e-5


@pytest.mark.parametrize("n_labelled", [1, 5])
def test_a_sample_too_small_to_exclude_a_guess_is_refused(n_labelled):
    known = Calibration(VALUES, np.diag([n_labelled, n_labelled]))
    counts = np.array([[30, 10], [12, 28]])
    for corrected in (calibrated_figures, calibrated_share):
        with pytest.raises(DegenerateDataError, match=f"has {n_labelled} images of 'woman'"):
            corrected(counts, known)


def test_a_value_that_is_confused_with_one_other_value_is_named():
    known = Calibration(list("abc"), np.array([[40, 0, 0], [0, 3, 3], [0, 5, 40]]))
    with pytest.raises(DegenerateDataError, match="6 images of 'b' and 45 of 'c'"):
        calibrated_share(np.array([[5, 5, 5]]), known)


def test_planted_errors_are_taken_out_of_the_figure():
    rng = np.random.default_rng(0)
    rates = np.array([[0.95, 0.05], [0.25, 0.75]])
    true = rng.beta(2, 2, 60)
    seen = rng.binomial(400, np.stack([true, 1 - true], axis=1) @ rates[:, 0])
    counts = np.stack([seen, 400 - seen], axis=1)
    known = Calibration(VALUES, (rates * 2000).astype(int))
    truth = np.abs(true - 0.5).mean()
    plain = fairness_figures(counts, resampling=Resampling(200))["mad"]
    found = calibrated_figures(counts, known, resampling=Resampling(200))["mad"]
    assert abs(plain.value - truth) > 0.02
    assert found.value == pytest.approx(truth, abs=0.012)
    assert found.low < truth < found.high
    assert found.floor > plain.floor  # a correction stretches chance as well


def test_a_perfect_classifier_changes_nothing():
    counts = np.array([[30, 10], [12, 28], [20, 20]])
    perfect = Calibration(VALUES, np.diag([10**9, 10**9]))
    plain, found = fairness_figures(counts), calibrated_figures(counts, perfect)
    for name, figure in found.items():
        assert figure.value == pytest.approx(plain[name].value)
        # other draws of the same bootstrap
        assert figure.high == pytest.approx(plain[name].high, abs=0.02)
    change, found = (
        of(counts, counts[::-1], *sample, resampling=Resampling(500))
        for of, sample in ((paired_difference, ()), (calibrated_difference, (perfect,)))
    )
    assert found.value == pytest.approx(change.value)
    assert (found.low, found.high) == pytest.approx((change.low, change.high), abs=0.03)


@pytest.mark.parametrize("n_labelled", [50, 400])
def test_the_interval_carries_both_uncertainties(n_labelled):
    rng = np.random.default_rng(1)
    rates, share, n, hits = np.array([[0.9, 0.1], [0.2, 0.8]]), 0.3, 100, 0
    n_trials = 300
    for trial in range(n_trials):
        seen = rng.binomial(n, share * rates[0, 0] + (1 - share) * rates[1, 0])
        confusion = np.stack([rng.multinomial(n_labelled, row) for row in rates])
        known = Calibration(VALUES, confusion)
        [[found, _]] = calibrated_share(
            np.array([[seen, n - seen]]), known, n_draws=500, seed=trial
        )
        hits += found.low <= share <= found.high
    # 95 % within 3 standard errors of 1.3 points
    assert hits / n_trials >= 0.912


@pytest.mark.parametrize("n_right", [40, 50])
def test_a_single_unknown_rate_has_its_exact_interval(n_right):
    # the other is known; share = seen / sensitivity, so its ends are those of the sensitivity
    known = Calibration(VALUES, np.array([[n_right, 50 - n_right], [0, 10**9]]))
    counts, fair = np.array([[150, 350]]), np.full((1, 2), 0.5)

    def share_of_first(rates):
        return lambda shares, target: {"share": rogan_gladen(shares[0], rates)[..., 0]}

    found = limits_by_rates(
        [counts], known, fair, share_of_first, n_draws=20_000, rng=np.random.default_rng(0)
    )["share"]
    rate = binomial_interval(n_right, 50)
    exact = 0.3 / np.array([rate.value, rate.high, rate.low])
    assert (found.value, found.low, found.high) == pytest.approx(exact, abs=0.003)


def test_fewer_seen_than_errors_alone_would_give_is_no_proof_of_none():
    # 3 of 50 seen where errors alone give 10: nearly every draw leaves the shares
    known = Calibration(VALUES, np.array([[90, 10], [20, 80]]))
    [[found, other]] = calibrated_share(np.array([[3, 47]]), known)
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.005 < found.high < 0.2
    assert other.low == pytest.approx(1 - found.high)


@pytest.mark.parametrize(
    "text",
    [
        "true,seen\nwoman,woman\nwoman,woman\nwoman,man\nman,man\nman,undetected\n",
        "seen;true;count\nwoman;woman;2\nman;woman;1\nman;man;1\n",
    ],
)
def test_a_labelled_sample_is_read(tmp_path, text):
    path = tmp_path / "sample.csv"
    path.write_text(text)
    known = read_calibration(path, values=VALUES)
    np.testing.assert_array_equal(known.confusion, [[2, 1], [0, 1]])
    np.testing.assert_allclose(known.rates, [[2 / 3, 1 / 3], [0, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("truth,seen\nwoman,woman\n", "needed `true` and `seen`"),
        ("true,seen\nwoman,womn\nman,man\n", r"line 2, holds 'womn' \(did you mean 'woman'\?\)"),
        ("true,seen\nwoman,woman\n", "no image that truly shows 'man'"),
        ("true,seen,count\nwoman,woman,-1\nman,man,1\n", "has the count '-1'"),
    ],
)
def test_a_sample_that_cannot_be_understood_is_refused(tmp_path, text, message):
    path = tmp_path / "sample.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_calibration(path, values=VALUES)


def sensitivity(counts):
    return holds_up_to(counts, fairness_figures(counts, resampling=Resampling(500))["mad"])


def test_a_strong_conclusion_stands_more_error_than_a_weak_one():
    strong, weak = np.tile([[180, 20]], (10, 1)), np.tile([[120, 80]], (10, 1))
    assert sensitivity(strong) > sensitivity(weak) > 0


def test_all_women_may_be_all_error_of_one_kind():
    # 65 % women seen in every subject: men who are seen as women at a rate of 0.3 explain it
    found = sensitivity(np.tile([[650, 350]], (10, 1)))
    assert 0.2 <= found < 0.3


def test_a_lean_both_ways_is_no_error_of_one_classifier():
    # rates that are the same for all subjects cannot turn equal shares into these
    assert sensitivity(np.tile([[130, 70], [70, 130]], (10, 1))) == pytest.approx(0.45)


def test_a_classifier_that_guesses_is_refused():
    counts, guesses = np.array([[5, 5], [2, 8]]), Calibration(VALUES, np.full((2, 2), 50))
    with pytest.raises(DegenerateDataError, match="hardly better than a guess"):
        calibrated_figures(counts, guesses)
    with pytest.raises(DegenerateDataError, match="hardly better than a guess"):
        calibrated_difference(counts, counts, guesses)


# The difference of two models under one classifier

RATES = np.array([[0.95, 0.05], [0.25, 0.75]])


def as_seen(true, n, rng):
    hits = rng.binomial(n, np.stack([true, 1 - true], axis=1) @ RATES[:, 0])
    return np.stack([hits, n - hits], axis=1)


def planted(seed, n_subjects=40, n=400):
    """What the classifier sees of two models, and the difference that there truly is."""
    rng = np.random.default_rng(seed)
    before = rng.beta(0.7, 0.7, n_subjects)
    after = 0.5 + 0.4 * (before - 0.5)
    truth = np.abs(after - 0.5).mean() - np.abs(before - 0.5).mean()
    known = Calibration(VALUES, np.stack([rng.multinomial(1000, row) for row in RATES]))
    return as_seen(before, n, rng), as_seen(after, n, rng), known, truth


def test_a_planted_difference_is_found_where_the_classifier_shows_a_smaller_one():
    before, after, known, truth = planted(0)
    plain = paired_difference(before, after, resampling=Resampling(200))
    found = calibrated_difference(before, after, known, resampling=Resampling(200))
    assert abs(plain.value) < abs(truth) - 0.03
    assert found.value == pytest.approx(truth, abs=0.015)
    assert found.low < truth < found.high


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


# How large the errors may be


def holds(before, after):
    difference = paired_difference(before, after, resampling=Resampling(500))
    return difference_holds_up_to(before, after, difference)


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
    assert sensitivity(tables[0]) is None


def test_sensitivity_is_about_two_values():
    counts = np.array([[1, 2, 3], [6, 0, 0], [6, 1, 0]])
    fairer = np.array([[20, 20, 20]] * 3)
    with pytest.raises(ShapeError, match="has 3 values; needed 2"):
        holds(counts, fairer)
