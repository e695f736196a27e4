"""Shifts of shares: closed forms, planted shifts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DegenerateDataError
from probe.stats.share_shift import ShareShift, fit_share_shift


def test_a_shift_of_two_values_is_a_line_on_the_log_odds():
    shifted = ShareShift(slope=2.0, intercepts=(np.log(3), 0.0)).apply(
        np.array([[0.5, 0.5], [0.8, 0.2]])
    )
    np.testing.assert_allclose(shifted[:, 0] / shifted[:, 1], [3.0, 3.0 * 16.0])


@given(slope=st.floats(0.2, 5.0), first=st.floats(-2, 2), seed=st.integers(0, 2**32 - 1))
def test_invert_undoes_apply(slope, first, seed):
    shift = ShareShift(slope, (first, -first / 2, 0.0))
    shares = np.random.default_rng(seed).dirichlet(np.ones(3) * 5, size=4)
    np.testing.assert_allclose(shift.invert(shift.apply(shares)), shares, atol=1e-9)


def test_the_fit_recovers_a_planted_shift_of_three_values():
    planted = ShareShift(1.7, (0.6, -0.4, 0.0))
    shares = np.random.default_rng(0).dirichlet(np.ones(3) * 2, size=60)
    expected = np.round(1e6 * planted.apply(shares)).astype(int)
    found = fit_share_shift(shares, expected)
    assert found.slope == pytest.approx(1.7, abs=1e-3)
    np.testing.assert_allclose(found.intercepts, planted.intercepts, atol=2e-3)


def test_separated_counts_have_a_finite_fit():
    found = fit_share_shift(np.array([[0.2, 0.8], [0.8, 0.2]]), np.array([[0, 9], [9, 0]]))
    assert 1 < found.slope < 50
    assert found.intercepts[0] == pytest.approx(0, abs=1e-3)


def test_equal_shares_leave_the_slope_open():
    with pytest.raises(DegenerateDataError, match="same shares"):
        fit_share_shift(np.full((3, 2), 0.5), np.array([[1, 2], [2, 1], [3, 3]]))
