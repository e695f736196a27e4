"""Insert experts into a U-Net and route each image of a batch to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from probe.errors import ShapeError
from probe.moesd.unet_experts import UNetExperts, uncompiled


class RoutedUNet:
    """Experts as forward hooks on a U-Net's cross-attention layers, until detached.

    The U-Net's weights, class and forward are not changed. Rows of images without a route, and the
    unconditional half of a guided batch, stay the same bit for bit. A U-Net that `torch.compile`
    wraps is recompiled.

    Parameters
    ----------
    unet : UNet2DConditionModel
    experts : UNetExperts

    Raises
    ------
    ModelError
        If the experts do not fit the U-Net.
    """

    def __init__(self, unet: Any, experts: UNetExperts) -> None:
        experts.check(unet)
        self._experts = experts
        self._is_compiled = _is_compiled(unet)
        self._n_images = 0
        self._rows: dict[str, torch.Tensor] = {}
        self._handles = [
            uncompiled(unet).get_submodule(site).register_forward_hook(self._hook(site))
            for site in experts.sites
        ]
        self._recompile()

    def set_routes(self, routes: Sequence[str]) -> None:
        """Set the expert of each image of the following batches; empty for the base model.

        Raises
        ------
        ValueError
            If there is no such expert.
        """
        self._n_images = len(routes)
        passed = [self._experts.passed(route) for route in routes]
        self._rows = {
            name: torch.tensor([row for row, names in enumerate(passed) if name in names])
            for name in self._experts.names
            if any(name in names for names in passed)
        }

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

        def hook(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
            return add(site, output) if self._rows else None

        return hook

    def _add_shifts(self, site: str, states: torch.Tensor) -> torch.Tensor:
        first = len(states) - self._n_images  # with guidance the conditional half is the last
        if first not in (0, self._n_images):
            raise ShapeError(
                f"the U-Net denoises {len(states)} rows but {self._n_images} routes are known; "
                "needed one row per image, or two with guidance"
            )
        routed = states.clone()
        for name, rows in self._rows.items():
            here = rows.to(states.device) + first
            routed[here] += self._experts.shift(name, site, states[here])
        return routed


def _is_compiled(unet: Any) -> bool:
    """Whether the network or any part of it is compiled."""
    return uncompiled(unet) is not unet or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in unet.modules()
    )
