"""What a method may change while images are generated: prompts, states, the denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Condition:
    """What one image is generated under; images of equal conditions differ in their noise only."""

    prompt: str
    """The text that is encoded."""
    route: str = ""
    """Which variant of the method applies to this image; empty if there is only one."""


class Corrector(Protocol):
    """Anything that edits the states which condition the image model."""

    def correct(self, prompts: Sequence[str], states: torch.Tensor) -> torch.Tensor:
        """Map states of shape (n_prompts, n_tokens, n_features) to corrected ones."""


class Intervention:
    """Base class of methods; itself the base model.

    A method overrides what it changes. Whatever it does not change must be equal bit for bit, so
    that an unaffected image is the base model's, and is not generated again.
    """

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Choose the condition of each image from its prompt and the seed of its noise.

        The seed is the only source of randomness.
        """
        return [Condition(prompt) for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states (n_conditions, n_tokens, n_features) of distinct conditions.

        The given tensor must not be modified.
        """
        return states

    def signature(self, condition: Condition) -> str:
        """Name what `denoising` changes under a condition; empty if nothing.

        Equal signatures must mean equal images, given equal states and noise: they contain the
        revision of adapters and every setting.
        """
        return ""

    def denoising(
        self, pipeline: Any, conditions: Sequence[Condition]
    ) -> AbstractContextManager[None]:
        """Change the denoiser while one batch is generated, and restore it.

        There is one condition per image of the batch, in its order. With guidance the pipeline's
        ``unet`` gets the batch twice: first unconditional, then conditional.
        """
        return nullcontext()


class StateCorrection(Intervention):
    """The intervention of a `Corrector`: it edits states only."""

    def __init__(self, corrector: Corrector) -> None:
        self._corrector = corrector

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states by the prompts."""
        return self._corrector.correct([condition.prompt for condition in conditions], states)
