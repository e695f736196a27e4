"""Bias Adapter experts (BiAs): residual bottlenecks on the conditioning states."""

from __future__ import annotations

import torch
from torch import nn

DIRECTIONS = ("toward-female", "toward-male")
"""The experts that move states; the third, ``base``, is the identity and has no weights."""


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


class Experts(nn.Module):
    """The two experts that move states, by the direction they move to.

    Parameters
    ----------
    n_features : int
        Width of the states.
    width : int
        Width of each bottleneck.
    """

    def __init__(self, n_features: int, *, width: int) -> None:
        super().__init__()
        self.n_features, self.width = n_features, width
        self.adapters = nn.ModuleDict({name: BiasAdapter(n_features, width) for name in DIRECTIONS})

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

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(weight.numel() for weight in self.parameters())
