"""Which way each picture goes: drawn from its seed, with shares that are met closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.io.artifacts import hash_parts

Ways = npt.NDArray[np.intp]

_GOLDEN = 0.6180339887498949  # the fraction whose multiples fill an interval most evenly


def draw_ways(prompts: Sequence[str], seeds: Sequence[int], shares: Mapping[str, Double]) -> Ways:
    """Choose one of K ways for each picture, so that each takes its share of a prompt's pictures.

    The first picture of a prompt draws a number from 0 to 1 by its seed, and each further seed
    goes on by the golden ratio: picture i gets ``frac(u_0 + i * 0.618...)``, and the way whose part
    of the interval that number falls into. A picture made alone is a fair draw; n that are
    made together keep each share to within a few pictures, where independent draws would
    miss it by sqrt(n w (1 - w)). Pictures that are added later change no earlier way.

    Parameters
    ----------
    prompts, seeds : sequences of length n_pictures
        The same prompt and seed go the same way.
    shares : mapping from prompt to ndarray of shape (K,)
        Of sum 1.

    Returns
    -------
    int ndarray of shape (n_pictures,)
        From 0 to K - 1.

    References
    ----------
    Niederreiter, *Random Number Generation and Quasi-Monte Carlo Methods*, SIAM 1992, chapter 3:
    the discrepancy of multiples of an irrational number falls as log(n) / n.
    """
    drawn: dict[tuple[str, int], int] = {}
    started: dict[str, tuple[float, int]] = {}
    for prompt, seed in zip(prompts, seeds, strict=True):
        if (prompt, seed) in drawn:
            continue
        first, count = started.get(prompt) or (_uniform(prompt, seed), 0)
        started[prompt] = first, count + 1
        number = (first + count * _GOLDEN) % 1.0
        ends = np.cumsum(shares[prompt])
        # Rounding may leave the last end just below the number.
        way = int(np.searchsorted(ends, number, side="right"))
        drawn[prompt, seed] = min(way, int(np.flatnonzero(shares[prompt])[-1]))
    return np.array([drawn[key] for key in zip(prompts, seeds, strict=True)], dtype=np.intp)


def _uniform(prompt: str, seed: int) -> float:
    """A number from 0 to 1, the same on every machine."""
    return int(hash_parts("way", prompt, str(int(seed)))[:8], 16) / 2**32
