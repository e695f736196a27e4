"""FLUX.1: the pooled vector of a CLIP and the states of a T5; guidance is distilled or embedded."""

from collections.abc import Mapping
from typing import Any

import torch

from probe.images.models.conditions import Conditions, Place
from probe.images.models.model import FAMILIES, ImageModel


@FAMILIES.register("FluxPipeline")
class Flux(ImageModel):
    """The guidance scale is an input of FLUX.1 [dev]; FLUX.1 [schnell] has none."""

    parts = (
        *("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
        *("transformer", "vae"),
    )
    returned = ("prompt_embeds", "pooled_prompt_embeds", "")
    defaults = (3.5, 28)
    n_tokens = 512

    @classmethod
    def recommended(cls, config: Mapping[str, Any]) -> tuple[float, int]:
        """Guidance is embedded in [dev]; [schnell] takes 4 steps without."""
        return cls.defaults if config.get("guidance_embeds") else (0.0, 4)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width before latents are packed in patches of 2 x 2."""
        size = self._size // self.pipeline.vae_scale_factor
        return self.network.config.in_channels // 4, size, size

    @property
    def encoding(self) -> Mapping[str, Any]:
        """There is no negative prompt."""
        return {"prompt_2": None}

    @property
    def calling(self) -> Mapping[str, Any]:
        """The size of the images, which is that of the VAE's training."""
        return {"height": self._size, "width": self._size}

    def is_guided(self, guidance_scale: float) -> bool:
        """No: both need no empty prompt."""
        return False

    def place(self, encoder: str) -> Place:
        """CLIP gives the pooled vector, T5 the states."""
        if encoder == "text_encoder_2":
            return Place()
        return Place(states="", pooled=slice(None))

    def predict(
        self, latents: torch.Tensor, times: torch.Tensor, conditions: Conditions
    ) -> torch.Tensor:
        """Pack latents in patches; a guidance of 1 is embedded in [dev]."""
        n, _, height, width = latents.shape
        states, pipeline = conditions.tensors["prompt_embeds"], self.pipeline
        height, width, where = height // 2, width // 2, states.device
        is_guided = self.network.config.guidance_embeds
        packed = self.network(
            pipeline._pack_latents(latents, *latents.shape),
            timestep=(times / self.schedule.n_times).to(states.dtype),
            guidance=torch.ones(n, device=where) if is_guided else None,
            txt_ids=states.new_zeros(states.shape[1], 3),
            img_ids=pipeline._prepare_latent_image_ids(n, height, width, where, states.dtype),
            **self._denoiser_inputs(conditions),
        ).sample
        return self._unpacked(packed)

    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """Pack latents, as they are decoded."""
        return super().pixels(self.pipeline._pack_latents(latents, *latents.shape))

    @property
    def _size(self) -> int:
        return int(self.pipeline.vae.config.sample_size)

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        return super()._scaled(self._unpacked(latents))

    def _unpacked(self, latents: torch.Tensor) -> torch.Tensor:
        scale = self.pipeline.vae_scale_factor
        unpacked: torch.Tensor = self.pipeline._unpack_latents(
            latents, self._size, self._size, scale
        )
        return unpacked
