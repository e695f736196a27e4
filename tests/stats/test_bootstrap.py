"""Intervals of means over rows and clusters."""

import numpy as np

from probe.stats.mean import mean_interval
from probe.stats.resampling import Resampling


def test_replicates_that_differ_by_rounding_alone_say_nothing():
    """Most rows are alike: some replicates draw these alone, and have no spread but rounding."""
    values = np.array([0.28] * 9 + [0.0, 0.5, 0.45])
    found = mean_interval(values, resampling=Resampling(4000))
    assert -1.0 < found.low < found.value < found.high < 2.0
