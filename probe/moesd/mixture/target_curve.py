"""The dial: how much of a correction reaches the pictures, from none of it to all."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from probe.images.intervention import Condition, Intervention
from probe.moesd.mixture.divisions import check_strength


class Dialled(Intervention):
    """Another intervention on the states, of which a part is done.

    ``x + s (x' - x)``: the base model bit for bit at s = 0, the intervention itself at s = 1.

    Parameters
    ----------
    inner : Intervention
        It changes states and nothing else.
    strength : float
        s, from 0 to 1.
    """

    def __init__(self, inner: Intervention, strength: float) -> None:
        check_strength(strength)
        self._inner, self._strength = inner, strength

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Those of the inner intervention."""
        return self._inner.conditions(prompts, seeds)

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Go part of the way."""
        if self._strength == 0.0:
            return states
        corrected = self._inner.correct(conditions, states)
        if self._strength == 1.0:
            return corrected
        # Rows that the inner one leaves alone must not pass through the arithmetic.
        is_kept = (corrected == states).flatten(1).all(dim=1)[:, None, None]
        return torch.where(is_kept, states, states + self._strength * (corrected - states))
