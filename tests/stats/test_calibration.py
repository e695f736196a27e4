"""The expected calibration error in closed form."""

import numpy as np
import pytest

from probe.stats.calibration import calibration_bins, calibration_error
from probe.stats.resampling import Resampling

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
    assert [of.right.value for of in bins] == [0.5, 0.75]
    np.testing.assert_allclose([of.probability for of in bins], [0.55, 0.95])


def test_clusters_are_resampled_as_a_whole():
    probabilities = np.full(100, 0.75)
    is_right = np.repeat([True, False, True, True], 25)
    together = calibration_error(
        probabilities, is_right, clusters=np.repeat(list("abcd"), 25), unit="templates", **QUICK
    )
    alone = calibration_error(probabilities, is_right, **QUICK)
    assert together.value == alone.value
    assert (together.unit, together.n) == ("templates", 4)
    assert together.high - together.low > 2 * (alone.high - alone.low)
