"""Batches of prompts of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from probe.arrays import Indices


def batches_by_length(n_tokens: npt.ArrayLike, batch_size: int) -> Iterator[Indices]:
    """Yield the rows of each batch, in ascending order of length; equal lengths keep their order.

    Raises
    ------
    ValueError
        If the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; needed at least one prompt a batch")
    order = np.argsort(n_tokens, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
