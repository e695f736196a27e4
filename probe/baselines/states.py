"""What methods on the prompt embedding share: training states and their edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Double, Float32
from probe.baselines.lookup import Lookup, draw_sides
from probe.baselines.method import Material
from probe.images.intervention import Condition, Intervention
from probe.text.lexicon import Lexicon

Edit = Callable[[Float32], npt.NDArray[Any]]
"""Rows of shape (n, n_features) -> edited rows of the same shape."""


class EditedStates(Intervention):
    """Apply one map to the state of every token of every prompt.

    Parameters
    ----------
    edit : callable
    first : int, default=1
        First position that is edited. The state at position 0, the start of text, is the same for
        every prompt of a causal encoder and carries no gender.
    """

    def __init__(self, edit: Edit, *, first: int = 1) -> None:
        self._edit, self._first = edit, first

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit all rows."""
        return edited(states, self._edit, first=self._first)


class RandomSide(Intervention):
    """Base of methods that draw a side for every image, whatever its prompt."""

    name: str

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw one of `SIDES` for every image."""
        sides = draw_sides(prompts, seeds, name=self.name)
        return [Condition(prompt, side) for prompt, side in zip(prompts, sides, strict=True)]


class OnlyOpen(Intervention):
    """Apply a method on states to open prompts only; this shows what a gate contributes.

    Parameters
    ----------
    method : Intervention
        It changes words or states, not the denoiser.
    is_open : callable
        Prompt -> whether the method applies.
    """

    def __init__(self, method: Intervention, is_open: Callable[[str], bool]) -> None:
        self._method, self._is_open = method, is_open

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Take the method's conditions for open prompts."""
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


def only_open(method: Intervention, lexicon: Lexicon) -> OnlyOpen:
    """Apply a method to the prompts that the look-up of a lexicon opens."""
    return OnlyOpen(method, Lookup(lexicon).is_open)


def edited(states: torch.Tensor, edit: Edit, *, first: int = 1) -> torch.Tensor:
    """Apply a map of rows to the states of shape (n_prompts, n_tokens, n_features)."""
    tail = states[:, first:]
    rows = tail.reshape(-1, states.shape[-1]).float().cpu().numpy()
    changed = torch.from_numpy(np.asarray(edit(rows), dtype=np.float32))
    return torch.cat([states[:, :first], changed.to(states).reshape(tail.shape)], dim=1)


def explicit_states(material: Material) -> tuple[Float32, Double]:
    """Return the token states of the explicit prompts of training occupations.

    Returns
    -------
    rows : ndarray of shape (n_prompts * (n_tokens - 1), n_features)
        Every state after the first, padding included, since it conditions the image model too.
    is_male : ndarray of shape (n_prompts * (n_tokens - 1),)
        1 for male prompts and 0 for female ones, equally many of each.
    """
    male, female = material.prompts.pairs()
    prompts = np.asarray(material.prompts.prompts, dtype=object)[np.concatenate([male, female])]
    states = material.encoder.states(list(prompts))[:, 1:].cpu().numpy()
    is_male = np.repeat([1.0, 0.0], len(male))
    return states.reshape(-1, states.shape[-1]), np.repeat(is_male, states.shape[1])
