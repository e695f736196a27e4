"""A method that has other weights of the denoiser: they are put in for a batch, then out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts


class EditedWeights(Intervention):
    """Denoise by other weights, whatever the prompt says, and without a prompt too.

    Parameters
    ----------
    weights : mapping from str to Tensor
        By name of a parameter of the ``unet``, what stands in its place.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = {name: weights[name].detach() for name in sorted(weights)}
        parts = (of.float().cpu().numpy() for of in self._weights.values())
        self._signature = hash_parts(*self._weights, *parts)

    def signature(self, condition: Condition) -> str:
        """Name the weights."""
        return self._signature

    def denoising(
        self, pipeline: Any, conditions: Sequence[Condition]
    ) -> AbstractContextManager[None]:
        """Put the weights in, and give the pipeline its own back, bit for bit."""
        return self._standing_in(pipeline.unet)

    @contextmanager
    def _standing_in(self, unet: Any) -> Iterator[None]:
        own = {name: unet.get_parameter(name).data for name in self._weights}
        try:
            for name, weight in self._weights.items():
                unet.get_parameter(name).data = weight.to(own[name])
            yield
        finally:
            for name, data in own.items():
                unet.get_parameter(name).data = data
