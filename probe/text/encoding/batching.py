"""Batches of prompts of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def batches_by_length(n_tokens: npt.ArrayLike, batch_size: int) -> Iterator[npt.NDArray[np.intp]]:
    """Divide prompts into batches, in order of length.

    Parameters
    ----------
    n_tokens : int array of shape (n_prompts,)
        Length of each prompt. Equally long ones stay in their order.
    batch_size : int
        Prompts per batch; the last may have fewer.

    Yields
    ------
    int ndarray of shape (n,)
        The rows of one batch. Every row is in exactly one batch.

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
