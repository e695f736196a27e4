"""Stable Diffusion v1.x and v2.x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from PIL import Image

from probe.images.models.model import FAMILIES, ImageModel


@FAMILIES.register("StableDiffusionPipeline")
class StableDiffusion(ImageModel):
    """One CLIP conditions a U-Net, with the safety checker if the pipeline has one.

    `load_pipeline` leaves the checker out: it would replace images by black ones, in which no
    attribute can be classified.
    """

    parts = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
    denoiser = "unet"
    returned = ("prompt_embeds", "")
    loading: ClassVar[Mapping[str, Any]] = {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }

    def _postprocessed(self, decoded: torch.Tensor) -> list[Image.Image]:
        checked, found = self.pipeline.run_safety_checker(decoded, decoded.device, decoded.dtype)
        is_unsafe = [False] * len(checked) if found is None else found
        images: list[Image.Image] = self.pipeline.image_processor.postprocess(
            checked, output_type="pil", do_denormalize=[not unsafe for unsafe in is_unsafe]
        )
        return images
