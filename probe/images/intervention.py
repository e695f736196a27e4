"""What a method may change while pictures are made: their words, their states, the denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Condition:
    """What one picture is made under; pictures of equal conditions differ in their noise alone."""

    prompt: str
    """The words that are encoded."""
    route: str = ""
    """Which of its ways the method takes for this picture; empty if it has but one."""


class Corrector(Protocol):
    """Anything that edits the states which condition the image model."""

    def correct(self, prompts: Sequence[str], states: torch.Tensor) -> torch.Tensor:
        """Map states of shape (n_prompts, n_tokens, n_features) to corrected ones."""


class Intervention:
    """A method as the making of pictures meets it; as it stands, the base model.

    A method overrides what it changes. Whatever it leaves alone must stay as it is bit for bit, so
    that a picture which it does not touch is the base model's, and is not made again.
    """

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Choose what each picture is made under.

        Parameters
        ----------
        prompts : sequence of str
            What was asked for, one a picture.
        seeds : sequence of int
            Seed of each picture's noise; all chance must come from it.
        """
        return [Condition(prompt) for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states of distinct conditions.

        Parameters
        ----------
        conditions : sequence of Condition
        states : Tensor of shape (n_conditions, n_tokens, n_features)
            Those of their prompts; not to be modified.

        Returns
        -------
        Tensor of shape (n_conditions, n_tokens, n_features)
        """
        return states

    def signature(self, condition: Condition) -> str:
        """Name what `denoising` changes under a condition; empty if that is nothing.

        Two signatures are equal only if the pictures are, given equal states and noise: the
        revision of adapters and every setting belong into it.
        """
        return ""

    def denoising(
        self, pipeline: Any, conditions: Sequence[Condition]
    ) -> AbstractContextManager[None]:
        """Change the denoiser while one batch of pictures is made, and give it back afterwards.

        Parameters
        ----------
        pipeline : StableDiffusionPipeline
            With guidance its ``unet`` sees the batch twice: first without the prompt, then with it.
        conditions : sequence of Condition
            One a picture of the batch, in its order.
        """
        return nullcontext()


class StateCorrection(Intervention):
    """The intervention of a `Corrector`: states are edited and nothing else."""

    def __init__(self, corrector: Corrector) -> None:
        self._corrector = corrector

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states by the prompts alone."""
        return self._corrector.correct([condition.prompt for condition in conditions], states)
