"""Bias Adapter experts (BiAs) in the denoiser: bottlenecks after text meets image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from probe.errors import ModelError, ShapeError
from probe.io.artifacts import hash_parts
from probe.moesd.experts import DIRECTIONS, make_adapter, n_weights

PAPER_SHARE = 0.056
"""Weights of the paper's experts over those of the U-Net."""
BASE = "base"
"""The expert that both directions share."""
_CROSS_ATTENTION = re.compile(r".*\.attn2")  # diffusers' name of it in every block that has one
_JOINT_ATTENTION = re.compile(r"transformer_blocks\.\d+\.attn")
"""Attention of image and text together, in the transformers of Stable Diffusion 3 and FLUX.1."""


class UNetExperts(nn.Module):
    """One bottleneck per expert and attention to the text, initially the identity.

    For an image of route ``r``, ``shift_r(h)`` is added to the output ``h`` of each attention in
    which the image meets the text, and the shift of the shared expert ``base`` if there is one; see
    `RoutedUNet`. In a U-Net, PixArt and Sana it is cross-attention. In Stable Diffusion 3 and
    FLUX.1 it is joint attention, and h its output for the image; FLUX.1's later blocks, which treat
    both as one sequence, have no experts.

    Parameters
    ----------
    sites : mapping of str to int
        Name of each of these attentions -> width of its output.
    width : int
        Bottleneck of each expert.
    n_experts : int
        1: ``base``; 2: one per direction; 3: both.
    style : str
        ``"adapter"`` or ``"lora"``.

    References
    ----------
    MoESD (arXiv 2407.11002) reports experts of 5.6 % of the U-Net but not their place, nor the role
    of the third. Ours, after the cross-attention layers, gives three experts of width 640 in SD
    v1.5 that share; a shared expert is as in Dai et al., *DeepSeekMoE*, ACL 2024, section 3.2.
    Those in transformers are ours.
    """

    def __init__(
        self, sites: Mapping[str, int], *, width: int, n_experts: int = 3, style: str = "adapter"
    ) -> None:
        super().__init__()
        self.sites, self.width = dict(sites), width
        self.n_experts, self.style = n_experts, style
        self.names = (*[BASE] * (n_experts % 2), *DIRECTIONS * (n_experts > 1))
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
        cls, unet: Any, *, width: int = 0, n_experts: int = 3, style: str = "adapter"
    ) -> UNetExperts:
        """Make untrained experts on a U-Net's device; see `paper_width` for the width 0."""
        sites = cross_attentions(unet)
        width = width or paper_width(unet, sites)
        return cls(sites, width=width, n_experts=n_experts, style=style).to(unet.device)

    @property
    def revision(self) -> str:
        """Hash of all weights and of what they belong to."""
        weights = self.state_dict()
        arrays = [np.asarray(weights[name].float().cpu().numpy()) for name in sorted(weights)]
        return hash_parts(repr((sorted(self.sites), self.names, self.style)), *arrays)

    def route(self, chosen: int) -> str:
        """Name the expert of a corrected prompt, by the place of its value."""
        return BASE if self.n_experts == 1 else DIRECTIONS[chosen]

    def shift(self, name: str, site: str, states: torch.Tensor) -> torch.Tensor:
        """Return what one expert adds to states of shape (..., n_features) at a site."""
        adapter: Any = self.adapters[name][_key(site)]  # type: ignore[index]
        weight = adapter.down.weight
        if weight.device != states.device:  # a pipeline may move its parts between devices
            adapter.to(states.device)
        shift: torch.Tensor = adapter.shift(states.to(weight.dtype))
        return shift.to(states.dtype)

    def check(self, unet: Any) -> None:
        """Refuse a denoiser that these experts do not fit by a `ModelError`."""
        found = cross_attentions(unet)
        if found != self.sites:
            raise ModelError(
                f"the experts sit after {_describe(self.sites)} but the denoiser has "
                f"{_describe(found)}; use the model they were trained on, or train them on this one"
            )


class RoutedUNet:
    """Experts as forward hooks on a denoiser's attentions to the text, until detached.

    The denoiser's weights, class and forward are not changed. Rows of images without a route, and
    the unconditional half of a guided batch, stay the same bit for bit. A denoiser that
    `torch.compile` wraps is recompiled. Experts that do not fit are refused by a `ModelError`.
    """

    def __init__(self, unet: Any, experts: UNetExperts) -> None:
        experts.check(unet)
        self._experts = experts
        self._is_compiled = _is_compiled(unet)
        self._n_images = 0
        self._rows: dict[str, torch.Tensor] = {}
        self._handles = [
            _uncompiled(unet).get_submodule(site).register_forward_hook(self._hook(site))
            for site in experts.sites
        ]
        self._recompile()

    def set_routes(self, routes: Sequence[str]) -> None:
        """Set the expert of each image of the following batches; empty for the base model."""
        names = self._experts.names
        if unknown := set(routes) - {"", *names}:
            raise ValueError(f"no expert {unknown.pop()!r}; needed one of {', '.join(names)}")
        self._n_images = len(routes)
        rows = {
            name: [row for row, route in enumerate(routes) if route and name in (BASE, route)]
            for name in names
        }
        self._rows = {name: torch.tensor(of) for name, of in rows.items() if of}

    def detach(self) -> None:
        """Remove the experts; a second call does nothing."""
        for handle in self._handles:
            handle.remove()
        if self._handles:
            self._handles = []
            self._recompile()

    def __enter__(self) -> RoutedUNet:
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()

    def _recompile(self) -> None:
        """Discard compiled code, which does not check for new hooks."""
        if self._is_compiled:
            torch.compiler.reset()

    def _hook(self, site: str) -> Any:
        # Not compiled: the routes change from batch to batch.
        add: Any = torch.compiler.disable(self._add_shifts)

        def hook(module: Any, inputs: Any, output: Any) -> Any:
            if not self._rows:
                return None
            if isinstance(output, tuple):  # of joint attention: of the image, then of the text
                return add(site, output[0]), *output[1:]
            return add(site, output)

        return hook

    def _add_shifts(self, site: str, states: torch.Tensor) -> torch.Tensor:
        first = len(states) - self._n_images  # with guidance the conditional half is the last
        if first not in (0, self._n_images):
            raise ShapeError(
                f"{len(states)} rows are denoised but {self._n_images} routes are known; "
                "needed one row per image, or two with guidance"
            )
        routed = states.clone()
        for name, rows in self._rows.items():
            here = rows.to(states.device) + first
            routed[here] += self._experts.shift(name, site, states[here])
        return routed


def paper_width(unet: Any, sites: Mapping[str, int]) -> int:
    """Return the largest width at which three adapters are at most `PAPER_SHARE` of the U-Net.

    An adapter of width w at a site of width n has ``2 n w + w + 3 n`` weights. 640 for SD v1.5.
    """
    total = sum(sites.values())
    n_most = PAPER_SHARE * n_weights(_uncompiled(unet))
    return max(1, int((n_most / 3 - 3 * total) // (2 * total + len(sites))))


def cross_attentions(unet: Any) -> dict[str, int]:
    """Map the attentions of a denoiser to the text to the widths of their outputs.

    Stable Diffusion v1.5 has 16, whose widths sum to 12,480. A denoiser without any is refused by a
    `ModelError`.
    """
    is_joint = "joint_attention_dim" in unet.config
    pattern = _JOINT_ATTENTION if is_joint else _CROSS_ATTENTION
    found = {
        name: int(module.to_out[0].out_features)
        for name, module in _uncompiled(unet).named_modules()
        if pattern.fullmatch(name)
    }
    if not found:
        raise ModelError(
            f"the {type(unet).__name__} has no attention to the text, which experts follow; train "
            "with side 'text'"
        )
    return found


def _uncompiled(unet: Any) -> Any:
    """Return the network inside a `torch.compile` wrapper, or the network itself."""
    return getattr(unet, "_orig_mod", unet)


def _is_compiled(unet: Any) -> bool:
    """Whether the network or any part of it is compiled."""
    return _uncompiled(unet) is not unet or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in unet.modules()
    )


def _key(site: str) -> str:
    return site.replace(".", "-")  # torch allows no dots in module names


def _describe(sites: Mapping[str, int]) -> str:
    widths = ", ".join(str(width) for width in sorted(set(sites.values())))
    return f"{len(sites)} attentions of widths {widths}"
