"""Proportions over rows and clusters: exact intervals and what widens them."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probe.errors import DataError, DegenerateDataError
from probe.stats.proportion import proportion_interval


@pytest.mark.parametrize(("n_hits", "n"), [(0, 5), (5, 5), (3, 7), (40, 100)])
def test_a_share_has_scipys_exact_interval(n_hits, n):
    reference = binomtest(n_hits, n).proportion_ci(method="exact")
    found = proportion_interval(np.arange(n) < n_hits)
    assert (found.value, found.low, found.high) == pytest.approx(
        (n_hits / n, reference.low, reference.high)
    )


def test_hits_that_come_in_clusters_widen_the_interval():
    is_hit = np.repeat(np.arange(40) % 2 == 0, 25)
    clusters = np.repeat(np.arange(40), 25)
    plain = proportion_interval(is_hit)
    wide = proportion_interval(is_hit, clusters=clusters)
    # 25 copies of each of 40 answers: sqrt(25) as wide
    assert wide.high - wide.low == pytest.approx(5 * (plain.high - plain.low), rel=0.1)
    assert (plain.n, wide.n) == (1000, 40)


def test_intervals_say_what_they_need():
    with pytest.raises(DataError, match="no rows"):
        proportion_interval(np.zeros(0, dtype=bool))
    with pytest.raises(DegenerateDataError, match="all 3 rows are of one cluster"):
        proportion_interval(np.ones(3, dtype=bool), clusters=np.zeros(3, dtype=int))
