"""Intervals of means over rows and clusters."""

import numpy as np

from probe.stats.bootstrap import mean_interval


def test_replicates_that_differ_by_rounding_alone_say_nothing():
    """Most rows are alike: some replicates draw these alone, and have no spread but rounding."""
    values = np.array([0.28] * 9 + [0.0, 0.5, 0.45])
    value, low, high = mean_interval(values, n_bootstrap=4000)
    assert -1.0 < low < value < high < 2.0
