"""How a prompt's pictures are divided between the base model and the experts."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double
from probe.errors import ShapeError


def divide_all(target: Double, *, strength: float = 1.0) -> Double:
    """Send every picture to an expert, ``strength`` of them at least.

    ``(1 - s, s t_1, ..., s t_K)``. The shares that come out are ``(1 - s) q + s t`` whatever the
    base model's shares q are, if each expert always brings its value: nothing need be known of q.

    Parameters
    ----------
    target : ndarray of shape (K,)
        Shares that are asked for, of sum 1.
    strength : float, default=1.0
        From 0 (every picture is the base model's) to 1.

    Returns
    -------
    ndarray of shape (K + 1,)
        Shares of the pictures: the base model's, then each expert's.
    """
    check_strength(strength)
    return np.concatenate([[1 - strength], strength * target])


def divide_missing(target: Double, base: Double, *, strength: float = 1.0) -> Double:
    """Send only as many pictures to experts as the base model's shares lack.

    What is wanted is ``w = (1 - s) q + s t``. Of the base model's pictures the largest part that
    overdraws no value may stay, ``u = min_k w_k / q_k``, and the experts bring the rest,
    ``w_k - u q_k``. With two values, one expert gets pictures and the other none.

    Parameters
    ----------
    target : ndarray of shape (K,)
        Shares that are asked for, of sum 1.
    base : ndarray of shape (K,)
        The base model's shares q, of sum 1; what they are wrong by is wrong in the result, times u.
    strength : float, default=1.0
        From 0 (every picture is the base model's) to 1.

    Returns
    -------
    ndarray of shape (K + 1,)
        Shares of the pictures: the base model's, then each expert's.

    Raises
    ------
    ShapeError
        If target and base are not about the same values.
    """
    check_strength(strength)
    if target.shape != base.shape:
        raise ShapeError(
            f"the target has {target.size} shares and the base {base.size}; needed one a value in "
            "both"
        )
    wanted = (1 - strength) * base + strength * target
    is_drawn = base > 1e-9  # a smaller share is none, and its inverse may be infinite
    kept = min(1.0, float((wanted[is_drawn] / base[is_drawn]).min()))
    brought = np.clip(wanted - kept * base, 0.0, None)
    # Rounding may make what is brought a little more than all.
    return np.concatenate([[max(0.0, 1 - brought.sum())], brought])


def check_strength(strength: float) -> None:
    """Refuse a strength that is not from 0 to 1."""
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength is {strength}; needed a number from 0 to 1")
