"""Sana: a decoder-only Gemma 2 that reads an instruction before the prompt."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from probe.images.models.conditions import Conditions
from probe.images.models.model import FAMILIES, ImageModel
from probe.images.models.pixart import PixArt

_INSTRUCTION = "complex_human_instruction"


@FAMILIES.register("SanaPipeline")
class Sana(PixArt):
    """The instruction is the pipeline's own; the empty prompt has none."""

    def predict(
        self, latents: torch.Tensor, times: torch.Tensor, conditions: Conditions
    ) -> torch.Tensor:
        """Scale the times as the transformer was trained with them."""
        scale: float = self.network.config.timestep_scale
        return super().predict(latents, times * scale, conditions)

    def _denoiser_inputs(self, conditions: Conditions) -> dict[str, Any]:
        return ImageModel._denoiser_inputs(self, conditions)

    def _encoded(self, prompt: str, options: Mapping[str, Any]) -> Conditions:
        call = inspect.signature(self.pipeline.__call__).parameters
        instruction = call[_INSTRUCTION].default if prompt else None
        return super()._encoded(prompt, {**options, _INSTRUCTION: instruction})
