"""What conditions images, and which part of it comes from which text encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True, eq=False)
class Conditions:
    """Everything that a prompt gives to an image model, for some images."""

    tensors: Mapping[str, torch.Tensor]
    """By the names of the pipeline's arguments, e.g. ``prompt_embeds`` (n_images, n_tokens,
    n_features), ``pooled_prompt_embeds`` (n_images, n_features) and ``prompt_attention_mask``
    (n_images, n_tokens)."""

    @classmethod
    def stack(cls, parts: Sequence[Conditions]) -> Conditions:
        """Put the images of several conditions after each other."""
        return cls(
            {name: torch.cat([of.tensors[name] for of in parts]) for name in parts[0].tensors}
        )

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, rows: slice | list[int] | torch.Tensor) -> Conditions:
        return Conditions({name: of[rows] for name, of in self.tensors.items()})

    def expand(self, n_images: int) -> Conditions:
        """Repeat the conditions of one image, without copies."""
        return Conditions(
            {name: of.expand(n_images, *of.shape[1:]) for name, of in self.tensors.items()}
        )

    def to(self, device: torch.device | str) -> Conditions:
        """Move to a device."""
        return Conditions({name: of.to(device) for name, of in self.tensors.items()})

    def changed(self, tensors: Mapping[str, torch.Tensor]) -> Conditions:
        """Return the conditions with some tensors replaced."""
        return Conditions({**self.tensors, **tensors})

    def with_rows(self, rows: list[int] | torch.Tensor, other: Conditions) -> Conditions:
        """Return the conditions with those of some images replaced; gradients pass."""
        tensors = {name: of.clone() for name, of in self.tensors.items()}
        for name, of in tensors.items():
            of[rows] = other.tensors[name].to(of)
        return Conditions(tensors)

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return the numbers of the first image, to be hashed."""
        return [np.asarray(of[0].float().cpu().numpy()) for of in self.tensors.values()]


class Place(NamedTuple):
    """Where the output of one text encoder stands in the conditions of an image model."""

    states: str = "prompt_embeds"
    """The tensor with the encoder's states; "" if they condition nothing."""
    tokens: slice = slice(None)
    """Tokens of it that are the encoder's."""
    features: slice = slice(None)
    """Features of it that are the encoder's."""
    pooled: slice | None = None
    """Features of ``pooled_prompt_embeds`` that are the encoder's."""
    mask: str = ""
    """The tensor with the attention mask of its prompts."""

    def read(self, given: Conditions) -> torch.Tensor:
        """Return the encoder's states, (n_images, n_tokens, n_features)."""
        return given.tensors[self.states][:, self.tokens, self.features]

    def write(self, given: Conditions, states: torch.Tensor) -> Conditions:
        """Return the conditions with other states of the encoder."""
        changed = given.tensors[self.states].clone()
        changed[:, self.tokens, self.features] = states
        return given.changed({self.states: changed})
