"""The area under the ROC curve by scikit-learn and DeLong; the calibration error in closed form."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from probe.errors import DegenerateDataError
from probe.stats.classification import auc_interval, calibration_bins, calibration_error
from probe.stats.resampling import Resampling


def test_the_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    is_positive = rng.random(80) < 0.4
    scores = (is_positive + rng.normal(size=80)).round(1)  # with ties
    found = auc_interval(scores, is_positive)
    assert found.value == pytest.approx(roc_auc_score(is_positive, scores))
    assert 0.5 < found.low < found.value < found.high < 1


def test_an_area_without_clusters_has_about_delongs_interval():
    rng = np.random.default_rng(0)
    is_positive = np.arange(400) % 2 == 0
    scores = is_positive + rng.normal(size=400)
    found = auc_interval(scores, is_positive)
    wins = scores[is_positive][:, None] > scores[~is_positive]
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 200 + wins.mean(axis=0).var(ddof=1) / 200)
    assert (found.high - found.low) / (2 * 1.966) == pytest.approx(error, rel=0.1)


def test_rows_of_one_cluster_count_for_less():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(20), 10)
    is_positive = clusters % 2 == 0
    scores = is_positive + np.repeat(rng.normal(size=20), 10)  # equal within a cluster
    together = auc_interval(scores, is_positive, clusters=clusters.astype(str))
    alone = auc_interval(scores, is_positive)
    of_clusters = auc_interval(scores[::10], is_positive[::10])
    assert together.n == 20
    assert together.value == pytest.approx(of_clusters.value)
    assert together.low == pytest.approx(of_clusters.low, abs=0.03)
    assert alone.high - alone.low < 0.5 * (together.high - together.low)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_area_without_a_lost_pair_is_not_known_to_be_perfect(sign):
    is_positive = np.repeat([True, False], 30)
    scores = sign * (is_positive + 0.0)
    found = auc_interval(scores, is_positive, clusters=np.repeat(np.arange(6), 10))
    limits = (found.low, found.high) if sign == 1 else (1 - found.high, 1 - found.low)
    assert limits[1] == 1.0
    assert 0.2 < limits[0] < 0.8  # three clusters on each side


def test_the_area_of_a_single_cluster_on_one_side_has_a_wide_interval():
    is_positive = np.repeat([True, False], [10, 90])
    scores = np.random.default_rng(0).normal(size=100) + 3 * is_positive
    found = auc_interval(scores, is_positive, clusters=np.repeat(np.arange(10), 10))
    assert found.low < 0.6 < found.value


def test_an_area_needs_both_kinds():
    with pytest.raises(DegenerateDataError, match="3 of 3"):
        auc_interval(np.arange(3.0), np.ones(3, bool))


QUICK = {"resampling": Resampling(200)}


def predicted(n_right, n_wrong, probability):
    return np.full(n_right + n_wrong, probability), np.arange(n_right + n_wrong) < n_right


def test_a_probability_that_is_the_share_right_has_no_calibration_error():
    found = calibration_error(*predicted(15, 5, 0.75), **QUICK)
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.n == 20


def test_the_calibration_error_is_the_gap_of_each_bin_by_its_size():
    both = zip(predicted(15, 5, 0.95), predicted(10, 10, 0.55), strict=True)
    probabilities, is_right = (np.concatenate(pair) for pair in both)
    found = calibration_error(probabilities, is_right, **QUICK)
    assert found.value == pytest.approx((abs(0.75 - 0.95) + abs(0.5 - 0.55)) / 2)
    assert found.low < found.value < found.high
    bins = calibration_bins(probabilities, is_right)
    assert [of["right"] for of in bins] == [0.5, 0.75]
    np.testing.assert_allclose([of["probability"] for of in bins], [0.55, 0.95])


def test_clusters_are_resampled_as_a_whole():
    probabilities = np.full(100, 0.75)
    is_right = np.repeat([True, False, True, True], 25)
    together = calibration_error(
        probabilities, is_right, clusters=np.repeat(list("abcd"), 25), **QUICK
    )
    alone = calibration_error(probabilities, is_right, **QUICK)
    assert together.value == alone.value
    assert together.n == 4
    assert together.high - together.low > 2 * (alone.high - alone.low)
