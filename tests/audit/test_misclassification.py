"""A classifier's errors, taken out or bounded: closed forms, planted truth, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.audit.fairness import fairness_figures
from probe.audit.misclassification.corrected import (
    calibrated_figures,
    calibrated_share,
    limits_by_rates,
    rogan_gladen,
)
from probe.audit.misclassification.sample import Calibration, read_calibration
from probe.audit.misclassification.sensitivity import holds_up_to
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling

VALUES = ["woman", "man"]


@given(share=st.floats(0, 1), sensitivity=st.floats(0.6, 1), specificity=st.floats(0.6, 1))
def test_two_values_have_the_published_formula(share, sensitivity, specificity):
    rates = np.array([[sensitivity, 1 - sensitivity], [1 - specificity, specificity]])
    seen = np.array([share, 1 - share]) @ rates
    found = rogan_gladen(seen, rates)
    formula = (seen[0] + specificity - 1) / (sensitivity + specificity - 1)
    assert found[0] == pytest.approx(formula, abs=1e-9) == pytest.approx(share, abs=1e-9)


def test_more_values_are_solved_as_well():
    rates = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]])
    true = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(rogan_gladen(true @ rates, rates), true, atol=1e-12)


def test_a_share_that_no_truth_explains_is_put_back():
    rates = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_allclose(rogan_gladen(np.array([1.0, 0.0]), rates), [1.0, 0.0])


@given(seen=st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_of_more_values_the_estimate_is_the_most_likely_share_of_a_fine_grid(seen):
    """Clipping and renormalising is not: of [0, 0, 1] seen it made [0.036, 0, 0.964]."""
    rates = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]])
    q = np.array(seen) / sum(seen)
    steps = np.linspace(0, 1, 101)
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1 + 1e-9])

    def likelihood(shares):
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(shares @ rates, 0))
        return np.where(q > 0, q * np.where(q > 0, logs, 0.0), 0.0).sum(axis=-1)

    found = rogan_gladen(q, rates)
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


def test_a_smaller_sample_makes_a_wider_interval():
    counts = np.array([[40, 60]])
    rates = np.array([[0.9, 0.1], [0.2, 0.8]])
    widths = []
    for n in (20, 200, 20_000):
        known = Calibration(VALUES, np.round(rates * n).astype(int))
        [[found, _]] = calibrated_share(counts, known)
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]


def test_a_classifier_that_guesses_is_refused():
    with pytest.raises(DegenerateDataError, match="hardly better than a guess"):
        calibrated_figures(np.array([[5, 5]]), Calibration(VALUES, np.full((2, 2), 50)))


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


def test_what_is_not_above_chance_has_no_conclusion_to_lose():
    rng = np.random.default_rng(2)
    first = rng.binomial(20, 0.5, 30)
    assert sensitivity(np.stack([first, 20 - first], axis=1)) is None


def test_sensitivity_is_about_two_values():
    counts = np.array([[1, 2, 3], [2, 2, 2]])
    with pytest.raises(ShapeError, match="has 3 values; needed 2"):
        holds_up_to(counts, fairness_figures(counts)["mad"])
