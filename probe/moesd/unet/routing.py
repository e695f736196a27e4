"""Send each picture of a batch through its own experts while the U-Net runs."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch

from probe.errors import ShapeError
from probe.moesd.unet.experts import UNetExperts
from probe.moesd.unet.sites import uncompiled


class Routed:
    """A U-Net whose cross-attentions pass experts, until it is detached.

    The U-Net's weights, class and forward stay as they are; what is added is a forward hook on
    each cross-attention. A U-Net that `torch.compile` wraps is compiled anew. Rows of pictures
    without a route pass as they are, bit for bit, and so does the half of a guided batch that is
    denoised without the prompt.

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
        self._has_compiled = _has_compiled(unet)
        self._n_pictures = 0
        self._rows: dict[str, torch.Tensor] = {}
        self._handles = [
            uncompiled(unet).get_submodule(site).register_forward_hook(self._hook(site))
            for site in experts.sites
        ]
        self._forget()

    def send(self, routes: Sequence[str]) -> None:
        """Say which expert each picture of the coming batches passes.

        Parameters
        ----------
        routes : sequence of str
            One a picture, empty for the base model.

        Raises
        ------
        ValueError
            If there is no such expert.
        """
        self._n_pictures = len(routes)
        passed = [self._experts.passed(route) for route in routes]
        self._rows = {
            name: torch.tensor([row for row, names in enumerate(passed) if name in names])
            for name in self._experts.names
            if any(name in names for names in passed)
        }

    def detach(self) -> None:
        """Take the experts out; a second call does nothing."""
        for handle in self._handles:
            handle.remove()
        if self._handles:
            self._handles = []
            self._forget()

    def __enter__(self) -> Routed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()

    def _forget(self) -> None:
        """Have a compiled U-Net compiled anew: what is compiled does not look for new hooks."""
        if self._has_compiled:
            torch.compiler.reset()

    def _hook(self, site: str) -> Any:
        # Not compiled: who goes where changes from batch to batch.
        moved: Any = torch.compiler.disable(self._moved)

        def move(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
            return moved(site, output) if self._rows else None

        return move

    def _moved(self, site: str, states: torch.Tensor) -> torch.Tensor:
        first = len(states) - self._n_pictures  # with guidance the half with the prompt is the last
        if first not in (0, self._n_pictures):
            raise ShapeError(
                f"the U-Net denoises {len(states)} rows but {self._n_pictures} routes are known; "
                "needed one row a picture, or two with guidance"
            )
        moved = states.clone()
        for name, rows in self._rows.items():
            here = rows.to(states.device) + first
            moved[here] += self._experts.shift(name, site, states[here])
        return moved


def _has_compiled(unet: Any) -> bool:
    """Tell whether it, or any part of it, is compiled."""
    return uncompiled(unet) is not unet or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in unet.modules()
    )
