"""Holm's adjustment: by hand, by the procedure's own words, and in the order of the tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.errors import DataError
from probe.stats.multiplicity import holm

few = settings(max_examples=30)
"""statsmodels collects garbage in every call: 16 ms."""
p_values = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).map(np.array)


def test_four_p_values_by_hand():
    found = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02], rtol=1e-12)


@pytest.mark.slow
@few
@given(p=p_values, level=st.sampled_from([0.01, 0.05, 0.2]))
def test_it_rejects_what_its_steps_reject(p, level):
    rejected = np.zeros(len(p), dtype=bool)
    for step, row in enumerate(np.argsort(p, kind="stable")):
        if (len(p) - step) * p[row] > level:
            break
        rejected[row] = True
    assert ((holm(p) <= level) == rejected).all()


@pytest.mark.parametrize(
    ("p", "message"),
    [([], "no p-value"), ([-0.1, 0.5], r"go from -0\.1 to 0\.5"), ([np.nan, 0.5], "not finite")],
)
def test_what_is_no_p_value_is_refused(p, message):
    with pytest.raises(DataError, match=message):
        holm(np.array(p))
