"""How a correction fails: each signature a measured share with its interval, defined by us."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Counts
from probe.audit.fairness import share_interval

Found = dict[str, Any]


class Estimate(Protocol):
    """An estimate with the ends of its interval."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """Lower end of its 95 % interval."""

    @property
    def high(self) -> float:
        """Upper end of its 95 % interval."""


def share(is_hit: npt.NDArray[np.bool_] | pd.Series) -> Found:
    """Give a share with its exact interval and ``n``; without a trial, 0 from 0 to 1."""
    n = len(is_hit)
    if n == 0:
        return {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}
    return {**asdict(share_interval(int(np.sum(is_hit)), n)), "n": n}


def leans(hits: Counts, n: Counts, fair: float) -> npt.NDArray[np.bool_]:
    """Find the subjects whose share cannot be told from no fair model's.

    A subject leans if its number of hits lies outside the central 95 % of what a fair model,
    Binomial(n, fair), would give at as many pictures.
    """
    from scipy.stats import binom

    low, high = binom.ppf(0.025, n, fair), binom.ppf(0.975, n, fair)
    result: npt.NDArray[np.bool_] = (hits < low) | (hits > high)
    return result


def gate_missed(
    base_hits: Counts, n: Counts, is_untouched: npt.NDArray[np.bool_], fair: float
) -> Found:
    """Share of the subjects that lean (see `leans`) whose pictures the correction left alone.

    Parameters
    ----------
    base_hits, n : ndarray of int, shape (n_subjects,)
        The base model's pictures that show the value, and all its pictures.
    is_untouched : ndarray of bool, shape (n_subjects,)
        Whether both models made the same pictures of the subject.
    fair : float
        Share of the value in a fair mix.

    Returns
    -------
    dict
        ``value, low, high, n``; n counts the subjects that lean. 0: the gate opens for each.
    """
    return share(is_untouched[leans(base_hits, n, fair)])


def overcorrected(
    base_hits: Counts, corrected_hits: Counts, n_base: Counts, n_corrected: Counts, fair: float
) -> Found:
    """Share of all subjects whose lean changed its sign.

    That is, the 95 % interval of the base model's share lies wholly on one side of the fair share,
    and that of the corrected model's wholly on the other.

    Returns
    -------
    dict
        ``value, low, high, n``; 0: no correction went beyond the mix.
    """
    return share(turns(base_hits, corrected_hits, n_base, n_corrected, fair))


def turns(
    base_hits: Counts, corrected_hits: Counts, n_base: Counts, n_corrected: Counts, fair: float
) -> npt.NDArray[np.bool_]:
    """Find the subjects whose lean changed its sign; see `overcorrected`."""
    before, after = _sides(base_hits, n_base, fair), _sides(corrected_hits, n_corrected, fair)
    result: npt.NDArray[np.bool_] = before * after < 0
    return result


def changed(base_keys: pd.Series, corrected_keys: pd.Series) -> Found:
    """Share of the pictures that are not the base model's, bit for bit; 0: no interference."""
    return share(base_keys.to_numpy() != corrected_keys.to_numpy())


def overfit(trained: Estimate, held_out: Estimate) -> dict[str, float]:
    """How much more the training occupations gained than the held-out ones.

    ``(MAD_corrected - MAD_base)`` of the held-out occupations minus that of the training ones.

    Parameters
    ----------
    trained, held_out : estimates
        Paired differences of MAD, corrected minus base, with bootstrap intervals.

    Returns
    -------
    dict
        ``value, low, high``, in units of MAD; 0: what was learned carries over, positive: it does
        less on occupations that were not seen.

    References
    ----------
    Zou and Donner, *Construction of confidence limits about effect measures*, Statistics in
    Medicine 27 (2008): the interval of a difference from those of two independent estimates.
    """
    value = held_out.value - trained.value
    below = math.hypot(held_out.value - held_out.low, trained.high - trained.value)
    above = math.hypot(held_out.high - held_out.value, trained.value - trained.low)
    return {"value": value, "low": value - below, "high": value + above}


def _sides(hits: Counts, n: Counts, fair: float) -> npt.NDArray[np.int_]:
    """Where the interval of each share lies: 1 above the fair share, -1 below, 0 around it."""
    found = [share_interval(int(k), int(total)) for k, total in zip(hits, n, strict=True)]
    return np.array([int(of.low > fair) - int(of.high < fair) for of in found])
