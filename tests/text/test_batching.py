"""Batches by length hold every prompt once, and only neighbours in length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.text.encoding.tokenization import batches_by_length


@given(lengths=st.lists(st.integers(1, 20), max_size=50), size=st.integers(1, 60))
def test_every_prompt_is_in_one_batch_and_none_is_shorter_than_one_before(lengths, size):
    batches = list(batches_by_length(lengths, size))
    rows = np.concatenate([np.empty(0, int), *batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert (np.diff(np.array(lengths)[rows.astype(int)]) >= 0).all()
    assert all(len(batch) == size for batch in batches[:-1])


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(batches_by_length([1], 0))
