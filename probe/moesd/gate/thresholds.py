"""Thresholds of a gate for a stated rate of false alarms, from training prompts alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.arrays import Mask

Double = npt.NDArray[np.float64]


def opening_threshold(scores: Double, is_closed: Mask, *, false_alarm: float) -> float:
    """Find the least score from which on a gate may open.

    Parameters
    ----------
    scores : ndarray of shape (n_prompts,)
        How sure the gate is that it should open; -inf where it would not in any case.
    is_closed : ndarray of bool, shape (n_prompts,)
        Which prompts must be left alone.
    false_alarm : float
        Largest share of these that it may open for.

    Returns
    -------
    float
        The smallest threshold t >= 0 for which the share of closed prompts with ``score >= t``
        is no more than ``false_alarm``; 0 where no threshold is needed.
    """
    alarms = np.sort(scores[is_closed & np.isfinite(scores)])[::-1]
    n_allowed = int(np.floor(false_alarm * is_closed.sum() + 1e-9))
    if len(alarms) <= n_allowed:
        return 0.0
    # just above the first alarm that is one too many
    return max(0.0, float(np.nextafter(alarms[n_allowed], np.inf)))


def explicit_threshold(
    sizes: Double, is_explicit: Mask, *, above: float, false_alarm: float
) -> float:
    """Find the size of bias score from which on a prompt is taken to say the gender.

    That with the best balanced accuracy between explicit prompts and the others, among those that
    let no more than a share ``false_alarm`` of the explicit prompts pass as skewed.

    Parameters
    ----------
    sizes : ndarray of shape (n_prompts,)
        Sizes of bias score.
    is_explicit : ndarray of bool, shape (n_prompts,)
    above : float
        The threshold is larger than this.
    """
    candidates = np.unique(sizes[sizes > above])
    hits = (sizes[is_explicit][:, None] > candidates).mean(axis=0)
    passes = (sizes[~is_explicit][:, None] <= candidates).mean(axis=0)
    alarms = (sizes[is_explicit] > above)[:, None] & (sizes[is_explicit][:, None] <= candidates)
    allowed = alarms.mean(axis=0) <= false_alarm
    score = np.where(allowed, hits + passes, -np.inf)
    return float(candidates[np.argmax(score)]) if allowed.any() else float(above)
