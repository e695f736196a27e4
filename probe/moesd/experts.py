"""Bias Adapter experts (BiAs): residual bottlenecks on the conditioning states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt
import torch
from torch import nn

from probe.errors import ArtifactError
from probe.moesd.architecture import DIRECTIONS as DIRECTIONS  # the experts that move states


class BiasAdapter(nn.Module):
    """One expert: a bottleneck whose output is added to the states.

    ``x + up(gelu(down(layer_norm(x))))`` with ``up`` zero at first, so that an expert starts as
    the identity.

    Parameters
    ----------
    n_features : int
        Width of the states.
    width : int
        Width of the bottleneck.

    References
    ----------
    Houlsby et al., *Parameter-Efficient Transfer Learning for NLP*, ICML 2019 (the adapter). Where
    the experts of MoESD (arXiv 2407.11002) sit exactly is not public: on the conditioning states is
    our choice.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.down = nn.Linear(n_features, width)
        self.up = nn.Linear(width, n_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Move states of shape (..., n_features)."""
        return states + self.shift(states)

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """Return what would be added to states of shape (..., n_features)."""
        moved: torch.Tensor = self.up(nn.functional.gelu(self.down(self.norm(states))))
        return moved


class LowRankAdapter(nn.Module):
    """One expert of the LoRA kind: ``x + up(down(x))``, linear and without bias.

    After a linear layer ``Wx + b`` it is the low-rank update ``(I + BA) W`` of its weight, and the
    same as PEFT's LoRA of that layer with ``A W``, ``B`` and the bias ``B A b``. ``up`` is zero at
    first. PEFT's own layers are not used: its mixed batches give each row one adapter, where here
    a row passes the shared expert and its own, and they leave out every other LoRA that the
    pipeline has loaded, for all rows (`tests/moesd/test_peft.py` shows both).

    Parameters
    ----------
    n_features : int
        Width of the states.
    width : int
        The rank.

    References
    ----------
    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022, section 4.1.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(n_features, width, bias=False)
        self.up = nn.Linear(width, n_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Move states of shape (..., n_features)."""
        return states + self.shift(states)

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """Return what would be added to states of shape (..., n_features)."""
        moved: torch.Tensor = self.up(self.down(states))
        return moved


Adapter = BiasAdapter | LowRankAdapter


def make_adapter(n_features: int, width: int, style: str) -> Adapter:
    """Make one expert of a style, ``"adapter"`` or ``"lora"``."""
    return (LowRankAdapter if style == "lora" else BiasAdapter)(n_features, width)


class Experts(nn.Module):
    """The two experts that move states, by the direction they move to; a third is the identity.

    Parameters
    ----------
    n_features : int
        Width of the states.
    width : int
        Width of each bottleneck.
    style : str
        ``"adapter"`` or ``"lora"``.
    """

    def __init__(self, n_features: int, *, width: int, style: str = "adapter") -> None:
        super().__init__()
        self.n_features, self.width, self.style = n_features, width, style
        self.adapters = nn.ModuleDict(
            {name: make_adapter(n_features, width, style) for name in DIRECTIONS}
        )

    def forward(self, states: torch.Tensor, toward_male: torch.Tensor) -> torch.Tensor:
        """Send each prompt's states to one expert.

        Parameters
        ----------
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        toward_male : bool Tensor of shape (n_prompts,)
            True sends the prompt to ``toward-male``, False to ``toward-female``.

        Returns
        -------
        Tensor of shape (n_prompts, n_tokens, n_features)
        """
        female, male = (self.adapters[name] for name in DIRECTIONS)
        moved = torch.empty_like(states)
        moved[~toward_male] = female(states[~toward_male])
        moved[toward_male] = male(states[toward_male])
        return moved

    def mix(self, states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Send each prompt's states to the experts by their weights.

        ``x + sum_k w_k shift_k(x)``: what is left to 1 is the weight of the identity. Where one
        weight is 1 it is `forward`, bit for bit.

        Parameters
        ----------
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        weights : Tensor of shape (n_prompts, 2)
            Of ``toward-female`` and ``toward-male``.

        Returns
        -------
        Tensor of shape (n_prompts, n_tokens, n_features)
        """
        moved = states.clone()
        for name, weight in zip(DIRECTIONS, weights.T, strict=True):
            adapter, rows = cast(Adapter, self.adapters[name]), weight > 0
            moved[rows] += weight[rows, None, None] * adapter.shift(states[rows])
        return moved

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(weight.numel() for weight in self.parameters())


def fill(experts: Any, weights: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Put weights that were read from a file into experts of the configuration beside it.

    Parameters
    ----------
    experts : Experts or UNetExperts
    weights : mapping of str to ndarray
    path : Path
        The file.

    Raises
    ------
    ArtifactError
        If they are of another style, or of other shapes.
    """
    found = "adapter" if any(name.endswith("norm.weight") for name in weights) else "lora"
    config = path.parent / "config.json"
    if found != experts.style:
        raise ArtifactError(
            f"{path} holds experts of style {found!r} but {config} says {experts.style!r}; the two "
            "are not of one training: train it again"
        )
    try:
        experts.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    except RuntimeError as error:
        raise ArtifactError(
            f"{path} does not fit {config} (width {experts.width}); train it again"
        ) from error
