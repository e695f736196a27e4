"""The contract of image models: prompts to conditions, conditions and seeds to latents, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import copy, deepcopy
from typing import Any, ClassVar

import torch
from PIL import Image

from probe.images.guidance_cache import guidance_cache, is_compiled
from probe.images.models.conditions import Conditions, Place
from probe.images.models.schedule import Schedule, schedule_of
from probe.io.plugins import Registry

FAMILIES: Registry[Callable[..., Any]] = Registry("image model family", "probe.images.models")
"""Families by ``_class_name`` of ``model_index.json``. An entry is a subclass of `ImageModel`, or a
plugin's function of the folder and the keyword argument ``device`` that returns an `ImageModel`, a
pipeline of diffusers, or a function of prompts and seeds that returns images."""


class ImageModel:
    """A family of image models, by the public methods of its diffusers pipeline.

    A subclass names what the family's ``encode_prompt`` returns and what its ``__call__`` takes.
    Noise is drawn on the CPU from one generator an image, so that an image depends on its seed and
    conditions only.

    Attributes
    ----------
    pipeline : DiffusionPipeline
    parts : tuple of str
        Parts without which the family cannot be opened.
    denoiser : str
        The part that denoises.
    returned : tuple of str
        Names of what ``encode_prompt`` returns; "" for what is not used.
    n_tokens : int
        Tokens of a prompt's states at most.
    defaults : tuple of (float, int)
        Guidance scale and steps of the pipeline's ``__call__``.
    """

    parts: ClassVar[tuple[str, ...]]
    denoiser: ClassVar[str] = "transformer"
    returned: ClassVar[tuple[str, ...]]
    defaults: ClassVar[tuple[float, int]] = (7.5, 50)
    taken: ClassVar[Mapping[str, str]] = {
        "prompt_embeds": "encoder_hidden_states",
        "pooled_prompt_embeds": "pooled_projections",
        "prompt_attention_mask": "encoder_attention_mask",
    }
    """Tensors of the conditions -> arguments of the denoiser."""
    n_tokens: ClassVar[int] = 77
    loading: ClassVar[Mapping[str, Any]] = {}
    """Arguments of ``from_pretrained``."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    @classmethod
    def recommended(cls, config: Mapping[str, Any]) -> tuple[float, int]:
        """Guidance scale and steps for a denoiser with a configuration."""
        return cls.defaults

    @property
    def network(self) -> Any:
        """The denoiser's module."""
        return getattr(self.pipeline, self.denoiser)

    @property
    def device(self) -> torch.device:
        """Where images are denoised, also if the weights are kept elsewhere until they compute."""
        device: torch.device
        device = self.pipeline._execution_device if self.is_offloaded else self.network.device
        return device

    @property
    def is_offloaded(self) -> bool:
        """Whether parts of the pipeline are moved to the device when they compute."""
        return hasattr(self.network, "_hf_hook")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image's latents."""
        size = self.network.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.network.config.in_channels, height, width

    @property
    def decoding_dtype(self) -> torch.dtype:
        """Precision in which latents are decoded."""
        dtype: torch.dtype = self.pipeline.vae.dtype
        return dtype

    @property
    def encoding(self) -> Mapping[str, Any]:
        """Arguments of ``encode_prompt``."""
        return {"do_classifier_free_guidance": False}

    @property
    def calling(self) -> Mapping[str, Any]:
        """Further arguments of the pipeline's ``__call__``."""
        return {}

    def encode(self, prompts: Sequence[str]) -> list[Conditions]:
        """Encode each prompt alone, so that its conditions do not depend on the others.

        Those of "" are what guidance leads away from.
        """
        return [self._encoded(prompt, self.encoding) for prompt in prompts]

    @torch.no_grad()
    def conditions(self, prompts: Sequence[str]) -> Conditions:
        """Encode prompts as `encode` does, each once, to the conditions of an image each."""
        distinct = list(dict.fromkeys(prompts))
        found = Conditions.stack(self.encode(distinct))
        return found[[distinct.index(prompt) for prompt in prompts]]

    def blank_conditions(self) -> Conditions:
        """Conditions of the right shapes, which stand for those of any prompt."""
        config, dtype = self.network.config, self.network.dtype
        widths = ("joint_attention_dim", "caption_channels", "cross_attention_dim")
        width = next(config[name] for name in widths if config.get(name))
        shapes = {
            "prompt_embeds": (1, self.n_tokens, width),
            "pooled_prompt_embeds": (1, config.get("pooled_projection_dim")),
            "prompt_attention_mask": (1, self.n_tokens),
        }
        names = [name for name in self.returned if name]
        return Conditions({name: torch.ones(shapes[name], dtype=dtype) for name in names})

    def place(self, encoder: str) -> Place:
        """Say where the output of a text encoder, e.g. "text_encoder_2", stands in the conditions.

        "" is the first.
        """
        return Place()

    def is_guided(self, guidance_scale: float) -> bool:
        """Whether the conditions of the empty prompt are needed."""
        return guidance_scale > 1

    def denoise(
        self,
        conditions: Conditions,
        empty: Conditions | None,
        seeds: Sequence[int],
        *,
        guidance_scale: float,
        n_steps: int,
    ) -> torch.Tensor:
        """Denoise images together, as the pipeline does, and return their latents for `decode`.

        ``seeds`` are those of the images' noise; ``empty`` are the conditions of the empty prompt,
        which only guidance needs.
        """
        given = dict(conditions.tensors)
        if empty is not None:
            against = empty.expand(len(seeds)).tensors
            given |= {f"negative_{name}": of for name, of in against.items()}
        is_unet = self.denoiser == "unet"
        with guidance_cache(self.network) if is_unet else nullcontext():
            latents: torch.Tensor = self.pipeline(
                **given,
                **self.calling,
                negative_prompt=None,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                guidance_scale=guidance_scale,
                num_inference_steps=n_steps,
                output_type="latent",
            ).images
        return latents.to(given["prompt_embeds"])

    @property
    def schedule(self) -> Schedule:
        """The noise and the target of the denoiser's training."""
        return schedule_of(self.pipeline.scheduler)

    def predict(
        self, latents: torch.Tensor, times: torch.Tensor, conditions: Conditions
    ) -> torch.Tensor:
        """Let the denoiser predict once, without guidance; gradients pass.

        Parameters
        ----------
        latents : Tensor of shape (n_images, channels, height, width)
            As noised by `schedule`.
        times : Tensor of shape (n_images,)

        Returns
        -------
        Tensor of the shape of the latents
            An estimate of `Schedule.target`, without the variance that some denoisers predict too.
        """
        given = self._denoiser_inputs(conditions)
        predicted: torch.Tensor = self.network(latents, timestep=times, **given).sample
        return predicted[:, : latents.shape[1]]

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode images, (n_images, 3, height, width) from -1 to 1, to their mean latents."""
        found = self.pipeline.vae.encode(pixels)
        is_drawn = hasattr(found, "latent_dist")
        return self._unscaled(found.latent_dist.mean if is_drawn else found.latent)

    def decode(self, latents: torch.Tensor) -> list[Image.Image]:
        """Decode latents as the pipeline does."""
        return self._postprocessed(self._decoded(latents))

    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to images, (n_images, 3, height, width) from -1 to 1; gradients pass."""
        return self._decoded(latents).clamp(-1, 1)

    def independent_copy(self) -> Any:
        """Copy the pipeline with shared weights but its own denoiser object and scheduler.

        Hooks, overridden methods and scheduler steps of one do not affect the other.
        """
        weights = [*self.network.parameters(), *self.network.buffers()]
        other = copy(self.pipeline)
        shared = {id(weight): weight for weight in weights}
        setattr(other, self.denoiser, deepcopy(self.network, shared))
        other.scheduler = deepcopy(self.pipeline.scheduler)
        return other

    @property
    def can_copy(self) -> bool:
        """Whether copies of the pipeline may denoise in threads of one CPU."""
        is_plain = not (self.is_offloaded or is_compiled(self.network))
        return is_plain and self.device.type == "cpu"

    def tile(self) -> bool:
        """Decode images in tiles from now on, which needs less memory; False if that is so."""
        vae = self.pipeline.vae
        if vae.use_tiling:
            return False
        vae.enable_tiling()
        return True

    def _encoded(self, prompt: str, options: Mapping[str, Any]) -> Conditions:
        found = self.pipeline.encode_prompt(
            prompt=[prompt], device=self.device, num_images_per_prompt=1, **options
        )
        named = zip(self.returned, found, strict=True)
        return Conditions({name: of for name, of in named if name})

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        decoded: torch.Tensor = vae.decode(self._scaled(latents), return_dict=False)[0]
        return decoded

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        config = self.pipeline.vae.config
        scaled: torch.Tensor = latents / config.scaling_factor
        shift = getattr(config, "shift_factor", None)
        return scaled if shift is None else scaled + shift

    def _unscaled(self, encoded: torch.Tensor) -> torch.Tensor:
        """Undo `_scaled`."""
        config = self.pipeline.vae.config
        shift = getattr(config, "shift_factor", None)
        encoded = encoded if shift is None else encoded - shift
        latents: torch.Tensor = encoded * config.scaling_factor
        return latents

    def _denoiser_inputs(self, conditions: Conditions) -> dict[str, Any]:
        return {self.taken[name]: of for name, of in conditions.tensors.items()}

    def _postprocessed(self, decoded: torch.Tensor) -> list[Image.Image]:
        images: list[Image.Image] = self.pipeline.image_processor.postprocess(
            decoded, output_type="pil"
        )
        return images
