import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from probe.moesd.gate.fitting import explicit_threshold, opening_threshold

rates = st.floats(0, 1)


@given(st.integers(0, 2**32 - 1), rates)
def test_the_rate_of_false_alarms_is_kept_and_no_lower_threshold_keeps_it(seed, rate):
    rng = np.random.default_rng(seed)
    scores, is_closed = rng.random(40).round(2), rng.random(40) < 0.6
    is_closed[0] = True
    scores[rng.random(40) < 0.2] = -np.inf
    found = opening_threshold(scores, is_closed, false_alarm=rate)
    assert (scores[is_closed] >= found).mean() <= rate + 1e-9
    if found > 0:
        lower = np.nextafter(found, -np.inf)
        assert (scores[is_closed] >= lower).mean() > rate - 1e-9


def test_a_gate_that_never_errs_needs_no_threshold():
    scores, is_closed = np.array([0.9, 0.4, -np.inf]), np.array([False, False, True])
    assert opening_threshold(scores, is_closed, false_alarm=0.0) == 0.0


def test_the_size_that_parts_two_groups_is_found():
    sizes = np.array([0.1, 0.2, 0.3, 0.8, 0.9, 1.0])
    is_explicit = sizes > 0.5
    found = explicit_threshold(sizes, is_explicit, above=0.05, false_alarm=0.0)
    assert ((sizes > found) == is_explicit).all()


def test_a_stated_rate_moves_the_size_to_where_it_is_kept():
    sizes = np.array([0.1, 0.2, 0.3, 0.4, 0.25, 0.9, 1.0, 1.1])
    is_explicit = np.arange(8) >= 4
    for rate in (0.0, 0.25):
        found = explicit_threshold(sizes, is_explicit, above=0.05, false_alarm=rate)
        assert (sizes[is_explicit] <= found).mean() <= rate
    assert explicit_threshold(sizes, is_explicit, above=0.05, false_alarm=0.25) == 0.4
    assert explicit_threshold(sizes, is_explicit, above=0.05, false_alarm=0.0) == 0.2
