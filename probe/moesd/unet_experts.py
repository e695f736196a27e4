"""Bias Adapter experts (BiAs) in the U-Net: bottlenecks after its cross-attention layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from probe.errors import ModelError
from probe.io.artifacts import hash_parts
from probe.io.settings import one_of
from probe.moesd.config import PLACEMENTS, ExpertConfig
from probe.moesd.experts import DIRECTIONS, make_adapter

BASE = "base"
"""The expert that both directions share."""
_CROSS_ATTENTION = ".attn2"  # diffusers' name of it in every block that has one


class UNetExperts(nn.Module):
    """One bottleneck per expert and cross-attention layer, initially the identity.

    For an image of route ``r``, ``shift_r(h)`` is added to the output ``h`` of each cross-attention
    layer, and the shift of the shared expert ``base`` if there is one; see
    `probe.moesd.unet_routing.RoutedUNet`.

    Parameters
    ----------
    sites : mapping of str to int
        Name of each cross-attention layer -> width of its output.
    width : int
        Bottleneck of each expert.
    n_experts : int
        See `expert_names`.
    style : str
        ``"adapter"`` or ``"lora"``.
    placement : str
        Blocks that the sites were taken from.
    levels : sequence of float
        Ascending sizes of the bias score that separate the experts of one direction.

    References
    ----------
    MoESD (arXiv 2407.11002) reports experts of 5.6 % of the U-Net but not their place. Ours, after
    the cross-attention layers, gives three experts of width 640 in SD v1.5 that share.
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
        self.style, self.placement, self.levels = style, placement, levels
        self.names = expert_names(n_experts)
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
        """Make untrained experts on a U-Net's device; width 0 is half of its widest block.

        Raises
        ------
        ModelError
            If the placement has no cross-attention layer.
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

    @classmethod
    def configured(cls, unet: Any, config: ExpertConfig) -> UNetExperts:
        """Make untrained experts from the settings of a training; see `start`."""
        return cls.start(
            unet,
            width=config.unet_width,
            n_experts=config.n_experts,
            style=config.style,
            placement=config.placement,
        )

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(weight.numel() for weight in self.parameters())

    @property
    def n_levels(self) -> int:
        """Number of experts of each direction; 0 if one expert serves both."""
        return self.n_experts // 2

    @property
    def revision(self) -> str:
        """Hash of all weights and of the settings that choose among them."""
        weights = self.state_dict()
        arrays = [np.asarray(weights[name].float().cpu().numpy()) for name in sorted(weights)]
        return hash_parts(repr((sorted(self.sites), self.names, self.levels, self.style)), *arrays)

    def set_levels(self, sizes: np.ndarray) -> None:
        """Choose levels that give each expert of a direction as many training prompts.

        ``sizes`` are the absolute bias scores of these, shape (n_prompts,).
        """
        shares = np.arange(1, self.n_levels) / max(1, self.n_levels)
        self.levels = tuple(float(cut) for cut in np.quantile(sizes, shares))

    def route(self, toward_male: bool, size: float) -> str:
        """Name the expert of a corrected prompt from the sign and size of its bias score."""
        if not self.n_levels:
            return BASE
        level = int(np.searchsorted(self.levels, size))
        return _level_name(DIRECTIONS[int(toward_male)], level, self.n_levels)

    def passed(self, route: str) -> tuple[str, ...]:
        """Name the experts that an image of a route passes; refuse an unknown route."""
        if not route:
            return ()
        if route not in self.names:
            raise ValueError(f"no expert {route!r}; needed one of {', '.join(self.names)}")
        return tuple(name for name in self.names if name in (BASE, route))

    def shift(self, name: str, site: str, states: torch.Tensor) -> torch.Tensor:
        """Return what one expert adds to states of shape (..., n_features) at a site."""
        adapter: Any = self.adapters[name][_key(site)]  # type: ignore[index]
        weight = adapter.down.weight
        if weight.device != states.device:  # a pipeline may move its parts between devices
            adapter.to(states.device)
        shift: torch.Tensor = adapter.shift(states.to(weight.dtype))
        return shift.to(states.dtype)

    def check(self, unet: Any) -> None:
        """Refuse a U-Net that these experts do not fit by a `ModelError`."""
        found = cross_attentions(unet, placement=self.placement)
        if found != self.sites:
            raise ModelError(
                f"the experts sit after {_describe(self.sites)} but the U-Net has "
                f"{_describe(found)}; use the model they were trained on, or train them on this one"
            )


def cross_attentions(unet: Any, *, placement: str = "all") -> dict[str, int]:
    """Find the cross-attention layers of a U-Net, which may be on the meta device.

    Parameters
    ----------
    unet : UNet2DConditionModel
    placement : str
        ``"all"``, or the layers of the ``"down"``, ``"mid"`` or ``"up"`` blocks.

    Returns
    -------
    dict
        Module name -> width of the output, in the order of the modules. Stable Diffusion v1.5 has
        16, whose widths sum to 12,480.

    Raises
    ------
    ModelError
        If there is none, as in Stable Diffusion 3, where text and image share one attention.
    """
    one_of("placement", placement, PLACEMENTS)
    prefix = "" if placement == "all" else f"{placement}_block"
    found = {
        name: int(module.to_out[0].out_features)
        for name, module in uncompiled(unet).named_modules()
        if name.endswith(_CROSS_ATTENTION) and name.startswith(prefix)
    }
    if not found:
        where = "" if placement == "all" else f" in its {placement} blocks"
        raise ModelError(
            f"the {type(unet).__name__} has no cross-attention{where}, which experts follow; "
            "train with side 'text' or another placement"
        )
    return found


def default_width(sites: Mapping[str, int]) -> int:
    """Half of the widest layer: 640 for Stable Diffusion v1.x and XL."""
    return max(1, max(sites.values()) // 2)


def uncompiled(unet: Any) -> Any:
    """Return the network inside a `torch.compile` wrapper, or the network itself."""
    return getattr(unet, "_orig_mod", unet)


def expert_names(n_experts: int) -> tuple[str, ...]:
    """Name the experts of the U-Net.

    They are divided between the two directions, ordered by the size of the bias score; an odd
    number leaves one more, ``base``, that images of both directions pass too.

    >>> expert_names(3)
    ('base', 'toward-female', 'toward-male')

    References
    ----------
    Dai et al., *DeepSeekMoE*, ACL 2024, section 3.2 (shared experts). The role of MoESD's third
    expert (arXiv 2407.11002) is not public; this is our choice.
    """
    n_levels, has_base = divmod(n_experts, 2)
    names = [
        _level_name(direction, level, n_levels)
        for direction in DIRECTIONS
        for level in range(n_levels)
    ]
    return (*[BASE] * has_base, *names)


def _level_name(direction: str, level: int, n_levels: int) -> str:
    return direction if n_levels == 1 else f"{direction}-{level + 1}"


def _key(site: str) -> str:
    return site.replace(".", "-")  # torch allows no dots in module names


def _describe(sites: Mapping[str, int]) -> str:
    widths = ", ".join(str(width) for width in sorted(set(sites.values())))
    return f"{len(sites)} cross-attentions of widths {widths}"
