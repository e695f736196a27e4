"""Stable Diffusion XL: two CLIPs, the pooled vector of the second, and sizes condition a U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from probe.images.models.conditions import Conditions, Place
from probe.images.models.model import FAMILIES, ImageModel


@FAMILIES.register("StableDiffusionXLPipeline")
class StableDiffusionXL(ImageModel):
    """The states of both encoders side by side; the sizes are those of the image."""

    parts = (
        *("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
        *("unet", "vae"),
    )
    denoiser = "unet"
    returned = ("prompt_embeds", "", "pooled_prompt_embeds", "")
    defaults = (5.0, 50)

    def blank_conditions(self) -> Conditions:
        """The pooled vector is what the sizes leave of the embedding's inputs."""
        config, n_sizes = self.network.config, 6
        of_sizes = n_sizes * config.addition_time_embed_dim
        n_pooled = config.projection_class_embeddings_input_dim - of_sizes
        states = torch.ones(1, self.n_tokens, config.cross_attention_dim, dtype=self.network.dtype)
        pooled = torch.ones(1, n_pooled, dtype=self.network.dtype)
        return Conditions({"prompt_embeds": states, "pooled_prompt_embeds": pooled})

    @property
    def decoding_dtype(self) -> torch.dtype:
        """Single precision where the VAE overflows in float16."""
        vae = self.pipeline.vae
        is_raised = vae.dtype == torch.float16 and vae.config.force_upcast
        return torch.float32 if is_raised else super().decoding_dtype

    def place(self, encoder: str) -> Place:
        """Say which features are the encoder's."""
        width = self.pipeline.text_encoder.config.hidden_size
        if encoder == "text_encoder_2":
            return Place(features=slice(width, None), pooled=slice(None))
        return Place(features=slice(width))

    def _denoiser_inputs(self, conditions: Conditions) -> dict[str, Any]:
        states, pooled = (
            conditions.tensors[of] for of in ("prompt_embeds", "pooled_prompt_embeds")
        )
        _, height, width = self.latent_shape
        size = tuple(side * self.pipeline.vae_scale_factor for side in (height, width))
        sizes = self.pipeline._get_add_time_ids(
            size, (0, 0), size, dtype=states.dtype, text_encoder_projection_dim=pooled.shape[1]
        )
        added = {"text_embeds": pooled, "time_ids": sizes.to(states.device).repeat(len(states), 1)}
        return {"encoder_hidden_states": states, "added_cond_kwargs": added}

    def _encoded(self, prompt: str, options: Mapping[str, Any]) -> Conditions:
        found = super()._encoded(prompt, options)
        if prompt == "" and self.pipeline.config.force_zeros_for_empty_prompt:
            return Conditions({name: torch.zeros_like(of) for name, of in found.tensors.items()})
        return found

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        if (around := self._around(latents)) is None:
            return super()._scaled(latents)
        middle, spread = around
        scaled: torch.Tensor = latents * spread / self.pipeline.vae.config.scaling_factor + middle
        return scaled

    def _unscaled(self, encoded: torch.Tensor) -> torch.Tensor:
        if (around := self._around(encoded)) is None:
            return super()._unscaled(encoded)
        middle, spread = around
        latents: torch.Tensor = (
            (encoded - middle) * self.pipeline.vae.config.scaling_factor / spread
        )
        return latents

    def _around(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean and standard deviation of the VAE's latents, where its configuration has them."""
        config = self.pipeline.vae.config
        mean, std = (getattr(config, f"latents_{name}", None) for name in ("mean", "std"))
        if mean is None or std is None:
            return None
        middle, spread = (like.new_tensor(of).view(1, -1, 1, 1) for of in (mean, std))
        return middle, spread

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        vae, dtype = self.pipeline.vae, self.decoding_dtype
        if vae.dtype == dtype:
            return super()._decoded(latents)
        before = vae.dtype
        vae.to(dtype)
        try:
            return super()._decoded(latents.to(dtype))
        finally:
            vae.to(before)

    def _postprocessed(self, decoded: torch.Tensor) -> list[Image.Image]:
        if self.pipeline.watermark is not None:
            decoded = self.pipeline.watermark.apply_watermark(decoded)
        return super()._postprocessed(decoded)
