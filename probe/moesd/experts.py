"""Bias Adapter experts (BiAs) on the text states."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import nn

from probe.text.attributes import GENDER, Attribute, cells_of


def expert_names(attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """Name the experts of attributes, one a value: ``"toward-female"``."""
    return tuple(f"toward-{value}" for attribute in attributes for value in attribute.values)


def with_cells(attributes: tuple[Attribute, ...], *, has_cells: bool) -> tuple[Attribute, ...]:
    """Return what has an expert a value: attributes, and the cells of several if asked for."""
    return (*attributes, cells_of(attributes)) if has_cells and len(attributes) > 1 else attributes


DIRECTIONS = expert_names([GENDER])
"""The experts of gender."""


class Adapter(nn.Module):
    """Base of one expert: a residual bottleneck with the layers ``down`` and ``up``."""

    down: nn.Linear
    up: nn.Linear

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return corrected states of shape (..., n_features)."""
        return states + self.shift(states)

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """Return what `forward` adds to states of shape (..., n_features)."""
        raise NotImplementedError


class BiasAdapter(Adapter):
    """Bottleneck adapter ``x + up(gelu(down(layer_norm(x))))``; ``up`` starts at zero.

    References
    ----------
    Houlsby et al., *Parameter-Efficient Transfer Learning for NLP*, ICML 2019. The MoESD paper
    (arXiv 2407.11002) does not say exactly where its experts sit; the text states are our choice.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.down = nn.Linear(n_features, width)
        self.up = nn.Linear(width, n_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """Return what `forward` adds to states of shape (..., n_features)."""
        shift: torch.Tensor = self.up(nn.functional.gelu(self.down(self.norm(states))))
        return shift


class LowRankAdapter(Adapter):
    """Low-rank adapter ``x + up(down(x))``, linear and without bias; ``up`` starts at zero.

    After a linear layer ``Wx + b`` this is the low-rank update ``(I + BA) W``, equal to PEFT's LoRA
    of that layer with ``A W``, ``B`` and the bias ``B A b``. PEFT's own layers are not used for two
    reasons, both tested in `tests/moesd/test_peft.py`: in a mixed batch PEFT gives each row one
    adapter, while here a row passes the shared expert and its own; and PEFT then disables every
    other LoRA that the pipeline has loaded.

    References
    ----------
    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022, section 4.1.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(n_features, width, bias=False)
        self.up = nn.Linear(width, n_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """Return what `forward` adds to states of shape (..., n_features)."""
        shift: torch.Tensor = self.up(self.down(states))
        return shift


def make_adapter(n_features: int, width: int, style: str) -> Adapter:
    """Make one expert of a style, ``"adapter"`` or ``"lora"``."""
    return (LowRankAdapter if style == "lora" else BiasAdapter)(n_features, width)


class Experts(nn.Module):
    """One expert a value on the text states, of a width and a style (see `make_adapter`)."""

    def __init__(
        self,
        n_features: int,
        *,
        width: int,
        style: str = "adapter",
        names: Sequence[str] = DIRECTIONS,
    ) -> None:
        super().__init__()
        self.n_features, self.width, self.style = n_features, width, style
        self.names = tuple(names)
        self.adapters = nn.ModuleDict(
            {name: make_adapter(n_features, width, style) for name in self.names}
        )

    def forward(self, states: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Apply one expert to each prompt's states.

        Parameters
        ----------
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        chosen : int Tensor of shape (n_prompts,)
            Places in ``names``.
        """
        return self.mix(states, nn.functional.one_hot(chosen, len(self.names)).to(states))

    @torch.no_grad()
    def scale(self, factor: float, names: Iterable[str]) -> None:
        """Multiply what some experts add to states."""
        for name in names:
            for weight in cast(Adapter, self.adapters[name]).up.parameters():
                weight.mul_(factor)

    def mix(self, states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Apply the experts by weight: ``x + sum_k w_k shift_k(x)``.

        Parameters
        ----------
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        weights : Tensor of shape (n_prompts, n_experts)
            In the order of ``names``, of either sign; 0 leaves the states unchanged.
        """
        corrected = states.clone()
        for name, weight in zip(self.names, weights.T, strict=True):
            adapter, rows = cast(Adapter, self.adapters[name]), weight != 0
            corrected[rows] += weight[rows, None, None] * adapter.shift(states[rows])
        return corrected


def n_weights(module: nn.Module) -> int:
    """Count the weights of a network."""
    return sum(weight.numel() for weight in module.parameters())
