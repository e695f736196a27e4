"""Partial corrections: interpolate between the base model's states and the corrected ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from probe.images.intervention import Condition, Intervention


class PartialCorrection(Intervention):
    """Interpolate the states: ``x + s (x' - x)``.

    Parameters
    ----------
    inner : Intervention
        The whole correction; it changes states only.
    strength : float
        s, from 0 (base model, bit for bit) to 1 (``inner`` itself).
    """

    def __init__(self, inner: Intervention, strength: float) -> None:
        check_strength(strength)
        self._inner, self._strength = inner, strength

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Return the conditions of the whole correction."""
        return self._inner.conditions(prompts, seeds)

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Interpolate the states."""
        if self._strength == 0.0:
            return states
        corrected = self._inner.correct(conditions, states)
        if self._strength == 1.0:
            return corrected
        # Rounding must not change the rows that `inner` leaves alone.
        is_kept = (corrected == states).flatten(1).all(dim=1)[:, None, None]
        return torch.where(is_kept, states, states + self._strength * (corrected - states))


def check_strength(strength: float) -> None:
    """Refuse a strength outside [0, 1]."""
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength is {strength}; needed a number from 0 to 1")
