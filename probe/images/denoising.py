"""What one batch of pictures takes of a pipeline: states of prompts, latents, pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from probe.images.guidance_cache import LEAST_ROWS, computing_once

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline
    from PIL import Image

_LATENTS_IN_A_BATCH = 100 * 16 * 16  # 100 pictures of 64 x 64, 6 of 512 x 512

# Arrays beyond 32 MB are mapped anew by glibc's malloc each time: of 100 pictures of 64 x 64,
# clearing their pages takes up to a third of the decoder's time. With one thread, torch does
# convolutions of fewer than `LEAST_ROWS` by another kernel, which rounds otherwise.
_DENOISED = 25
_LEAST_DENOISED = 20


def noise(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Generator]:
    """Draw the starting noise of one picture, on the CPU whatever the device.

    Returns
    -------
    noise : Tensor of the given shape
    generator : Generator
        Goes on where the noise ended, for schedulers that draw more.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), generator


def encode(pipeline: StableDiffusionPipeline, prompts: list[str]) -> list[torch.Tensor]:
    """States of prompts, each alone: they must not depend on what it is encoded with.

    Returns
    -------
    list of Tensor of shape (n_tokens, n_features)
    """
    device = pipeline.unet.device  # diffusers walks through all modules to tell it
    return [
        pipeline.encode_prompt(
            [prompt], device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0][0]
        for prompt in prompts
    ]


def denoise(
    pipeline: StableDiffusionPipeline,
    states: torch.Tensor,
    empty: torch.Tensor | None,
    seeds: list[int],
    *,
    guidance_scale: float,
    n_steps: int,
) -> torch.Tensor:
    """Denoise pictures together, as the pipeline does.

    Parameters
    ----------
    states : Tensor of shape (n_images, n_tokens, n_features)
    empty : Tensor of shape (n_tokens, n_features), optional
        States of the empty prompt; needed with guidance alone.
    seeds : list of int
        Of each picture's noise.

    Returns
    -------
    Tensor of shape (n_images, n_channels, height, width)
        Latents, as `decode` takes them.
    """
    drawn = [noise(seed, latent_shape(pipeline)) for seed in seeds]
    with computing_once(pipeline.unet):
        latents: torch.Tensor = pipeline(
            prompt_embeds=states,
            negative_prompt_embeds=None if empty is None else empty.expand_as(states),
            latents=torch.stack([latents for latents, _ in drawn]).to(states),
            generator=[generator for _, generator in drawn],
            guidance_scale=guidance_scale,
            num_inference_steps=n_steps,
            output_type="latent",
        ).images
    return latents


@torch.no_grad()
def decode(pipeline: StableDiffusionPipeline, latents: torch.Tensor) -> list[Image.Image]:
    """Decode latents as the pipeline does, and have its safety checker, if any, look at them."""
    images: list[Image.Image] = []
    for part in decoded_together(len(latents), latents.device):
        scaled = latents[part] / pipeline.vae.config.scaling_factor
        decoded = pipeline.vae.decode(scaled, return_dict=False)[0]
        decoded, found = pipeline.run_safety_checker(decoded, latents.device, latents.dtype)
        is_unsafe = [False] * len(decoded) if found is None else found
        images += pipeline.image_processor.postprocess(
            decoded, output_type="pil", do_denormalize=[not unsafe for unsafe in is_unsafe]
        )
    return images


def denoised_together(n_images: int, device: torch.device) -> list[slice]:
    """Cut a batch into the parts that are denoised at once: fast, and no bit changes.

    Their number is even where that leaves them large enough, so that two that are denoised side by
    side end together.
    """
    n_parts = n_images // _DENOISED
    n_parts += n_parts % 2 and n_images >= _LEAST_DENOISED * (n_parts + 1)
    return _parts(n_images, n_parts, device)


def decoded_together(n_images: int, device: torch.device) -> list[slice]:
    """Cut a batch into the parts that are decoded at once."""
    return _parts(n_images, n_images // LEAST_ROWS, device)


def latent_shape(pipeline: StableDiffusionPipeline) -> tuple[int, int, int]:
    """Channels, height and width of one picture's latents."""
    size = pipeline.unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return pipeline.unet.config.in_channels, height, width


def fitting_batch(pipeline: StableDiffusionPipeline) -> int:
    """Count the pictures that a few GB of memory hold."""
    _, height, width = latent_shape(pipeline)
    return max(1, min(100, _LATENTS_IN_A_BATCH // (height * width)))


def _parts(n: int, n_parts: int, device: torch.device) -> list[slice]:
    """Cut n into about equal parts; on an accelerator, not at all."""
    n_parts = max(1, n_parts) if device.type == "cpu" else 1
    edges = [part * n // n_parts for part in range(n_parts + 1)]
    return [slice(start, end) for start, end in pairwise(edges)]


@torch.no_grad()
def encode_images(vae: Any, pixels: npt.NDArray[np.float32]) -> torch.Tensor:
    """Encode images of shape (n, 3, height, width), from -1 to 1, as scaled mean latents."""
    batches = torch.from_numpy(pixels).split(64)
    latents = torch.cat([vae.encode(of.to(vae.device)).latent_dist.mean for of in batches])
    scaled: torch.Tensor = latents * vae.config.scaling_factor
    return scaled


def prediction_target(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """Return what the denoiser was trained to predict: the noise or the velocity."""
    if scheduler.config.prediction_type == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(clean, noise, times)
        return velocity
    return noise
