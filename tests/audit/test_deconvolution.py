"""Corrected figures, and bounds by missing labels: closed forms and simulated truth."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probe.audit.audit import share_table
from probe.audit.deconvolution import audit_figures
from probe.audit.measures import measure_shares
from probe.audit.missing_label_bounds import bound_figures
from probe.stats.resampling import Resampling


def draw(rng, n_images, shares):
    first = rng.binomial(n_images, shares)
    return np.stack([first, n_images - first], axis=1)


@pytest.mark.parametrize(("n_images", "spread"), [(10, 2.0), (10, 20.0), (50, 0.5), (50, 20.0)])
def test_most_of_the_bias_of_few_pictures_is_taken_out(n_images, spread):
    rng = np.random.default_rng(3)
    raw, corrected, truth = [], [], []
    for _ in range(8):
        shares = rng.beta(spread, spread, 100)
        figure = audit_figures(draw(rng, n_images, shares), resampling=Resampling(2))["mad"]
        raw.append(figure.value)
        corrected.append(figure.corrected)
        truth.append(np.abs(shares - 0.5).mean())
    bias = np.mean(raw) - np.mean(truth)
    # 800 subjects know their mean to 0.004
    assert abs(np.mean(corrected) - np.mean(truth)) < max(0.25 * bias, 0.01)


def test_the_correction_serves_more_values_and_any_target():
    rng = np.random.default_rng(5)
    target = np.array([0.5, 0.3, 0.2])
    counts = rng.multinomial(12, target, size=300)
    for name, figure in audit_figures(counts, target=target, resampling=Resampling(20)).items():
        assert figure.value > 0.9 * figure.floor, name
        assert 0 <= figure.corrected_low <= figure.corrected <= figure.corrected_high
        assert figure.corrected < 0.4 * figure.value, name


def half_fair(n_subjects, seed):
    """Half of the subjects fair, half at 0.02 or 0.98, 10 pictures each: MAD is 0.240."""
    rng = np.random.default_rng(seed)
    shares = np.resize([0.5, 0.02, 0.5, 0.98], n_subjects)
    return audit_figures(draw(rng, 10, shares), resampling=Resampling(100, seed))["mad"]


def test_where_half_of_the_subjects_are_fair_the_bias_is_taken_out_in_part():
    """Contracting all shares alike left 0.274 of 0.301, with however many subjects."""
    found = [half_fair(40, seed) for seed in range(20)]
    raw, corrected = (np.mean([getattr(of, key) for of in found]) for key in ("value", "corrected"))
    assert raw == pytest.approx(0.301, abs=0.005)
    assert 0.240 < corrected < 0.272
    # more subjects show more of how shares are spread
    assert half_fair(2000, 0).corrected < 0.258
    assert sum(of.corrected_low <= 0.240 <= of.corrected_high for of in found) >= 18


def test_unseen_pictures_bound_the_figure_by_hand():
    # 6 and 2 seen, 4 unseen: from 6 : 6 to 10 : 2
    found = bound_figures(np.array([[6, 2]]), np.array([4]))["mad"]
    assert found == pytest.approx({"low": 0.0, "high": 10 / 12 - 0.5, "most": 0.5})
    # nothing unseen: the figure itself
    found = bound_figures(np.array([[6, 2]]), np.array([0]))["mad"]
    assert found == pytest.approx({"low": 0.25, "high": 0.25, "most": 0.5})


@pytest.mark.parametrize("measure", ["mad", "fd"])
@given(data=st.data())
@settings(max_examples=20)
def test_no_reading_of_the_unseen_pictures_leaves_the_bounds(measure, data):
    counts = np.array([data.draw(st.lists(st.integers(0, 6), min_size=3, max_size=3))])
    n_missing = data.draw(st.integers(0, 4))
    counts[0, 0] += 1
    found = bound_figures(counts, np.array([n_missing]))[measure]
    scores = []
    for reading in product(range(3), repeat=n_missing):
        filled = counts[0] + np.bincount(reading, minlength=3)
        scores.append(float(measure_shares(filled / filled.sum(), np.full(3, 1 / 3))[measure]))
    assert found["low"] <= min(scores) + 1e-12
    assert found["high"] == pytest.approx(max(scores))


@pytest.mark.parametrize("n", [10, 50, 200])
def test_no_share_is_covered_less_often_than_said(n):
    table = share_table(np.array([[k, n - k] for k in range(n + 1)]))
    low, high = np.array([(found.low, found.high) for found, _ in table]).T
    true = np.linspace(0.002, 0.998, 499)[:, None]
    weights = stats.binom.pmf(np.arange(n + 1), n, true)
    assert (weights * ((low <= true) & (true <= high))).sum(axis=1).min() >= 0.95
