"""Methods that replace weights of the denoiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts


class EditedWeights(Intervention):
    """Denoise with other weights, for every prompt and for the unconditional prediction.

    ``weights``: name of a parameter of the ``unet`` -> its replacement.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = {name: weights[name].detach() for name in sorted(weights)}
        parts = (of.float().cpu().numpy() for of in self._weights.values())
        self._signature = hash_parts(*self._weights, *parts)

    def signature(self, condition: Condition) -> str:
        """Return the hash of the weights."""
        return self._signature

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Insert the weights, and restore the pipeline's own afterwards, bit for bit."""
        unet = pipeline.unet
        original = {name: unet.get_parameter(name).data for name in self._weights}
        try:
            for name, weight in self._weights.items():
                unet.get_parameter(name).data = weight.to(original[name])
            yield
        finally:
            for name, data in original.items():
                unet.get_parameter(name).data = data
