"""Sana: a decoder-only Gemma 2 that reads an instruction before the prompt."""

import inspect
from collections.abc import Mapping
from typing import Any

from probe.images.models.conditions import Conditions
from probe.images.models.model import FAMILIES
from probe.images.models.pixart import PixArt

_INSTRUCTION = "complex_human_instruction"


@FAMILIES.register("SanaPipeline")
class Sana(PixArt):
    """The instruction is the pipeline's own; the empty prompt has none."""

    def _encoded(self, prompt: str, options: Mapping[str, Any]) -> Conditions:
        call = inspect.signature(self.pipeline.__call__).parameters
        instruction = call[_INSTRUCTION].default if prompt else None
        return super()._encoded(prompt, {**options, _INSTRUCTION: instruction})
