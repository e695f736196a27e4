"""What methods on the prompt embedding share: the states they learn from, and how they edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from probe.baselines.method import Material
from probe.images.intervention import Condition, Intervention

Rows = npt.NDArray[np.float32]
Edit = Callable[[Rows], npt.NDArray[Any]]
"""From rows of shape (n, n_features) to edited rows of the same shape."""


class EditedStates(Intervention):
    """Edit the state of every token by one map, whatever the prompt says.

    Parameters
    ----------
    edit : callable
        A map of rows of shape (n, n_features).
    first : int, default=1
        First position that is edited. The state at position 0, the start of text, is the same for
        every prompt of a causal encoder: it says nothing of gender.
    """

    def __init__(self, edit: Edit, *, first: int = 1) -> None:
        self._edit, self._first = edit, first

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit all rows alike."""
        return edited(states, self._edit, first=self._first)


class OnlyOpen(Intervention):
    """Act by a method on states where a prompt is open, and leave all others as they are.

    It gives a method without a gate the simplest one there is, and so shows what is due to the
    gate.

    Parameters
    ----------
    method : Intervention
        One that changes words or states, not the denoiser.
    is_open : callable
        From a prompt to whether the method may act.
    """

    def __init__(self, method: Intervention, is_open: Callable[[str], bool]) -> None:
        self._method, self._is_open = method, is_open

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Ask the method about open prompts alone."""
        rows = [row for row, prompt in enumerate(prompts) if self._is_open(prompt)]
        asked = self._method.conditions([prompts[i] for i in rows], [seeds[i] for i in rows])
        result = [Condition(prompt) for prompt in prompts]
        for row, condition in zip(rows, asked, strict=True):
            result[row] = condition
        return result

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states of open prompts."""
        rows = [row for row, of in enumerate(conditions) if self._is_open(of.prompt)]
        result = states.clone()
        if rows:
            result[rows] = self._method.correct([conditions[i] for i in rows], states[rows])
        return result


def edited(states: torch.Tensor, edit: Edit, *, first: int = 1) -> torch.Tensor:
    """Apply a map of rows to the states of shape (n_prompts, n_tokens, n_features)."""
    tail = states[:, first:]
    rows = tail.reshape(-1, states.shape[-1]).float().cpu().numpy()
    moved = torch.from_numpy(np.asarray(edit(rows), dtype=np.float32))
    return torch.cat([states[:, :first], moved.to(states).reshape(tail.shape)], dim=1)


def said_states(material: Material) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Token states of the explicit prompts of training occupations, and who they speak of.

    Returns
    -------
    rows : ndarray of shape (n_prompts * (n_tokens - 1), n_features)
        Every state after the first, padding too: it conditions the image model like the others.
    is_male : ndarray of shape (n_prompts * (n_tokens - 1),)
        1 for male prompts and 0 for female ones, as many of each.
    """
    male, female = material.prompts.pairs()
    prompts = np.asarray(material.prompts.prompts, dtype=object)[np.concatenate([male, female])]
    states = material.encoder.states(list(prompts))[:, 1:].cpu().numpy()
    is_male = np.repeat([1.0, 0.0], len(male))
    return states.reshape(-1, states.shape[-1]), np.repeat(is_male, states.shape[1])
