"""Shares foretold from bias score: closed forms, symmetries, planted answers, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError

from probe.errors import DataError, DegenerateDataError
from probe.latent.prediction import SharePredictor

SLOPE = -50.0  # log odds for one unit of bias score: a bias score of 0.03 makes 1.5


def town(seed, *, n=30, n_images=24, correlation=0.2, intercept=0.3):
    """Bias scores, counts of women, counts of images and true shares of made-up subjects."""
    rng = np.random.default_rng(seed)
    bias_score = 0.03 * rng.normal(size=n)
    mean, precision = expit(intercept + SLOPE * bias_score), 1 / correlation - 1
    share = rng.beta(mean * precision, (1 - mean) * precision)
    images = np.full(n, n_images)
    return bias_score, rng.binomial(images, share), images, share


def test_shares_that_lie_on_the_curve_give_the_curve_back():
    bias_score = np.linspace(-0.05, 0.05, 21)
    images = np.full(21, 10**7)
    women = np.round(expit(0.4 + SLOPE * bias_score) * images).astype(int)
    found = SharePredictor().fit(bias_score, women, images)
    assert found.intercept_ == pytest.approx(0.4, abs=1e-3)
    assert found.slope_ == pytest.approx(SLOPE, rel=1e-3)
    assert found.correlation_ < 1e-4
    told = found.predict(np.array([0.0, 0.02]))
    np.testing.assert_allclose(told.share, expit([0.4, 0.4 + 0.02 * SLOPE]), atol=1e-3)
    assert (told.high - told.low < 0.02).all()


def test_subjects_of_one_curve_have_the_interval_of_the_binomial():
    bias_score = np.linspace(-0.05, 0.05, 21)
    women = np.round(expit(SLOPE * bias_score) * 10**7).astype(int)
    found = SharePredictor(n_draws=20_000).fit(bias_score, women, np.full(21, 10**7))
    told = found.predict(np.array([0.02]), n_images=40)
    low, high = stats.binom(40, expit(0.02 * SLOPE)).interval(0.95)
    assert (told.low[0], told.high[0]) == pytest.approx((low / 40, high / 40), abs=1e-12)


def test_what_was_planted_is_found():
    bias_score, women, images, _ = town(0, n=600, correlation=0.3)
    found = SharePredictor().fit(bias_score, women, images)
    assert found.slope_interval_[0] < SLOPE < found.slope_interval_[1]
    assert found.slope_ == pytest.approx(SLOPE, rel=0.15)
    assert found.intercept_ == pytest.approx(0.3, abs=0.15)
    assert found.correlation_ == pytest.approx(0.3, abs=0.05)


def test_a_bias_score_that_says_nothing_foretells_the_mean():
    rng = np.random.default_rng(1)
    images = np.full(200, 50)
    women = rng.binomial(images, rng.beta(4, 2, size=200))
    found = SharePredictor().fit(rng.normal(size=200), women, images)
    assert found.slope_interval_[0] < 0 < found.slope_interval_[1]
    np.testing.assert_allclose(found.predict(np.array([-1.0, 1.0])).share, 2 / 3, atol=0.06)


@settings(max_examples=15)
@given(scale=st.floats(0.01, 100), shift=st.floats(-1, 1))
def test_the_unit_and_the_zero_of_the_bias_score_do_not_matter(scale, shift):
    bias_score, women, images, _ = town(2)
    new = np.array([-0.04, 0.0, 0.04])
    plain = SharePredictor(n_draws=500).fit(bias_score, women, images).predict(new, n_images=30)
    moved = SharePredictor(n_draws=500).fit(scale * bias_score + shift, women, images)
    told = moved.predict(scale * new + shift, n_images=30)
    # the search for the peak stops a little elsewhere
    np.testing.assert_allclose(told.share, plain.share, atol=1e-4)
    np.testing.assert_allclose(told.low, plain.low, atol=1 / 30 + 1e-9)


def test_counting_men_mirrors_every_share():
    bias_score, women, images, _ = town(3)
    of_women = SharePredictor(n_draws=20_000).fit(bias_score, women, images)
    of_men = SharePredictor(n_draws=20_000).fit(bias_score, images - women, images)
    assert of_men.slope_ == pytest.approx(-of_women.slope_, rel=1e-3)
    assert of_men.correlation_ == pytest.approx(of_women.correlation_, rel=1e-3)
    new = np.linspace(-0.05, 0.05, 5)
    told, mirrored = of_women.predict(new), of_men.predict(new)
    # draws differ: 20,000 place a share to 0.001 and the end of an interval to about 0.01
    np.testing.assert_allclose(mirrored.share, 1 - told.share, atol=0.005)
    np.testing.assert_allclose(mirrored.low, 1 - told.high, atol=0.03)


def test_fewer_images_leave_more_doubt():
    bias_score, women, images, _ = town(4)
    found = SharePredictor().fit(bias_score, women, images)
    new = np.array([-0.03, 0.0, 0.03])
    widths = [
        (told.high - told.low).mean()
        for told in (found.predict(new, n_images=n) for n in (None, 100, 10))
    ]
    assert widths[0] <= widths[1] < widths[2]
    one = found.predict(new, n_images=1)
    assert set(one.low) | set(one.high) <= {0.0, 1.0}


@pytest.mark.parametrize("n_images", [12, 200])
def test_the_interval_holds_new_subjects_as_often_as_it_says(n_images):
    is_seen, is_true = [], []
    for seed in range(60):
        bias_score, women, images, share = town(seed, n=58, n_images=n_images)
        found = SharePredictor(n_draws=800, seed=seed).fit(bias_score[:28], women[:28], images[:28])
        told = found.predict(bias_score[28:], n_images=images[28:])
        seen = women[28:] / images[28:]
        is_seen.append(((told.low <= seen) & (seen <= told.high)).mean())
        told = found.predict(bias_score[28:])
        is_true.append(((told.low <= share[28:]) & (share[28:] <= told.high)).mean())
    for held in (is_seen, is_true):
        error = np.std(held) / np.sqrt(len(held))  # subjects of one town share its parameters
        assert np.mean(held) >= 0.95 - 3 * error
        assert np.mean(held) > 0.92


def test_calibration_measures_subjects_that_were_not_seen():
    bias_score, women, images, _ = town(5, n=90, n_images=100, correlation=0.05)
    found = SharePredictor().fit(bias_score[:30], women[:30], images[:30])
    measured = found.calibration(bias_score[30:], women[30:], images[30:])
    told, seen = found.predict(bias_score[30:], n_images=100), women[30:] / 100
    inside = (told.low <= seen) & (seen <= told.high)
    assert measured.coverage == inside.mean()
    assert measured.r2 == pytest.approx(
        1 - ((seen - told.share) ** 2).sum() / ((seen - seen.mean()) ** 2).sum(), abs=1e-12
    )
    assert measured.r2_low < measured.r2 < measured.r2_high
    assert measured.coverage_low < measured.coverage <= measured.coverage_high
    assert measured.width == pytest.approx((told.high - told.low).mean())
    assert (measured.n, measured.confidence) == (60, 0.95)
    assert measured.r2 > 0.6  # before: the bias score says much; after: it is dealt out anew
    shuffled = np.random.default_rng(0).permutation(bias_score[30:])
    assert found.calibration(shuffled, women[30:], images[30:]).r2 < 0


def test_a_town_where_everybody_has_one_gender_is_learnt_without_overflow():
    bias_score = np.r_[np.full(10, -0.03), np.full(10, 0.03)] + 0.001 * np.arange(20)
    women = np.r_[np.full(10, 24), np.zeros(10, dtype=int)]
    found = SharePredictor().fit(bias_score, women, np.full(20, 24))
    told = found.predict(bias_score[[0, -1]])
    assert told.share[0] > 0.95
    assert told.share[1] < 0.05
    assert np.isfinite([found.slope_, *found.slope_interval_]).all()


def test_a_thousand_prompts_are_foretold_in_chunks_as_one_by_one():
    bias_score, women, images, _ = town(7)
    found = SharePredictor(n_draws=5000).fit(bias_score, women, images)
    many = found.predict(np.linspace(-0.05, 0.05, 1001))  # 5 million draws: several chunks
    assert logit(many.share[0]) > logit(many.share[-1])
    np.testing.assert_allclose(found.predict(np.array([0.0])).share, many.share[500], atol=1e-12)
    assert found.predict(np.array([])).share.shape == (0,)


def test_what_cannot_be_learnt_from_is_refused():
    bias_score, women, images, _ = town(8, n=6)
    model = SharePredictor()
    with pytest.raises(NotFittedError):
        model.predict(bias_score)
    with pytest.raises(DataError, match="at least 6 subjects to fit, got 5"):
        model.fit(bias_score[:5], women[:5], images[:5])
    with pytest.raises(DegenerateDataError, match="6 subjects have the same bias score"):
        model.fit(np.ones(6), women, images)
    with pytest.raises(DataError, match="1 of 6 values of bias_score are not finite"):
        model.fit(np.r_[bias_score[:5], np.nan], women, images)


def test_a_calibration_needs_subjects_that_differ():
    bias_score, women, images, _ = town(9)
    found = SharePredictor().fit(bias_score, women, images)
    with pytest.raises(DegenerateDataError, match=r"30 subjects have the same share .*, 0\.5"):
        found.calibration(bias_score, np.full(30, 12), images)
    with pytest.raises(DataError, match="at least 3 subjects, got 2"):
        found.calibration(bias_score[:2], women[:2], images[:2])
