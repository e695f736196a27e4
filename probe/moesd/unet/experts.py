"""Bias Adapter experts (BiAs) in the U-Net: bottlenecks after its cross-attentions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from probe.errors import ModelError
from probe.io.artifacts import hash_parts
from probe.moesd.architecture import BASE, DIRECTIONS, expert_names, level_name
from probe.moesd.experts import make_adapter
from probe.moesd.unet.sites import cross_attentions, default_width


class UNetExperts(nn.Module):
    """One bottleneck for each expert and each cross-attention, all starting as the identity.

    A picture of a route ``r`` has ``shift_r(h)`` added to the output ``h`` of each cross-attention,
    and that of the shared expert ``base`` where there is one; a picture without a route has
    nothing added and stays the base model's, bit for bit. The U-Net itself is not changed: see
    `probe.moesd.unet.routing.Routed`.

    Parameters
    ----------
    sites : mapping of str to int
        Name of each cross-attention -> width of its output.
    width : int
        Bottleneck of each expert.
    n_experts : int
        See `probe.moesd.architecture.expert_names`.
    style : str
        ``"adapter"`` or ``"lora"``.
    placement : str
        Which blocks the sites were looked for in.
    levels : sequence of float
        Sizes of the bias score that part the experts of a direction, ascending; one less than they
        are.

    References
    ----------
    MoESD (arXiv 2407.11002) reports experts of 5.6 % of the U-Net and does not say where they sit:
    after the cross-attentions is our choice. Three of width 640 in the 16 of Stable Diffusion v1.5
    come to that share.
    """

    def __init__(
        self,
        sites: Mapping[str, int],
        *,
        width: int,
        n_experts: int = 3,
        style: str = "adapter",
        placement: str = "all",
        levels: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.sites, self.width, self.n_experts = dict(sites), width, n_experts
        self.style, self.placement = style, placement
        self.names = expert_names(n_experts)
        self.levels = levels
        self.adapters = nn.ModuleDict(
            {
                name: nn.ModuleDict(
                    {_key(site): make_adapter(n, width, style) for site, n in sites.items()}
                )
                for name in self.names
            }
        )

    @classmethod
    def start(
        cls,
        unet: Any,
        *,
        width: int = 0,
        n_experts: int = 3,
        style: str = "adapter",
        placement: str = "all",
    ) -> UNetExperts:
        """Make experts for a U-Net, on its device; a width of 0 is half of its widest block's.

        Raises
        ------
        ModelError
            If it has no cross-attention where the placement asks for them.
        """
        sites = cross_attentions(unet, placement=placement)
        made = cls(
            sites,
            width=width or default_width(sites),
            n_experts=n_experts,
            style=style,
            placement=placement,
        )
        return made.to(unet.device)

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(weight.numel() for weight in self.parameters())

    @property
    def n_levels(self) -> int:
        """Experts of each direction; 0 if one serves all."""
        return self.n_experts // 2

    @property
    def revision(self) -> str:
        """Hash of every weight and of what says who passes which."""
        weights = self.state_dict()
        arrays = [np.asarray(weights[name].float().cpu().numpy()) for name in sorted(weights)]
        return hash_parts(repr((sorted(self.sites), self.names, self.levels, self.style)), *arrays)

    def set_levels(self, sizes: np.ndarray) -> None:
        """Part the experts of a direction so that each has as many of these prompts.

        Parameters
        ----------
        sizes : ndarray of shape (n_prompts,)
            Absolute bias scores of the training prompts.
        """
        shares = np.arange(1, self.n_levels) / max(1, self.n_levels)
        self.levels = tuple(float(cut) for cut in np.quantile(sizes, shares))

    def route(self, toward_male: bool, size: float) -> str:
        """Name the expert of a corrected prompt, by the sign and size of its bias score."""
        if not self.n_levels:
            return BASE
        level = int(np.searchsorted(self.levels, size))
        return level_name(DIRECTIONS[int(toward_male)], level, self.n_levels)

    def passed(self, route: str) -> tuple[str, ...]:
        """Name the experts that a picture of a route passes.

        Raises
        ------
        ValueError
            If there is no such expert.
        """
        if not route:
            return ()
        if route not in self.names:
            raise ValueError(f"no expert {route!r}; needed one of {', '.join(self.names)}")
        return tuple(dict.fromkeys(name for name in self.names if name in (BASE, route)))

    def shift(self, name: str, site: str, states: torch.Tensor) -> torch.Tensor:
        """Return what one expert adds to states of shape (..., n_features) at a site."""
        adapter: Any = self.adapters[name][_key(site)]  # type: ignore[index]
        weight = adapter.down.weight
        if weight.device != states.device:  # parts of a pipeline may come and go between devices
            adapter.to(states.device)
        shift: torch.Tensor = adapter.shift(states.to(weight.dtype))
        return shift.to(states.dtype)

    def check(self, unet: Any) -> None:
        """Refuse a U-Net that these experts do not fit.

        Raises
        ------
        ModelError
            The message says how many cross-attentions of which widths were found and needed.
        """
        found = cross_attentions(unet, placement=self.placement)
        if found != self.sites:
            raise ModelError(
                f"the experts sit after {_told(self.sites)} but the U-Net has {_told(found)}; "
                "use the model they were trained on, or train them on this one"
            )


def _key(site: str) -> str:
    return site.replace(".", "-")  # names of modules hold no dots


def _told(sites: Mapping[str, int]) -> str:
    widths = ", ".join(str(width) for width in sorted(set(sites.values())))
    return f"{len(sites)} cross-attentions of widths {widths}"
