"""Image models that are only called: other pipelines of diffusers, and functions of plugins."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from probe.errors import ModelError
from probe.images.models.conditions import Conditions, Place
from probe.images.models.model import ImageModel

_MAX_BYTES = 4096


class Function(ImageModel):
    """A function of prompts and seeds that returns an image each, such as a client of a web API.

    Its conditions are the bytes of the prompts, its latents the images. Guidance and steps are the
    function's own, and nothing can be corrected.
    """

    @property
    def device(self) -> torch.device:
        """The CPU, where the prompts are."""
        return torch.device("cpu")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Unknown; that of an image of 1024 x 1024, so that one is made at a time."""
        return 4, 128, 128

    @property
    def is_offloaded(self) -> bool:
        """No."""
        return False

    def tile(self) -> bool:
        """The images are there already."""
        return False

    @property
    def can_copy(self) -> bool:
        """No."""
        return False

    def encode(self, prompts: Sequence[str]) -> list[Conditions]:
        """Write prompts as bytes."""
        return [Conditions({"prompt": _bytes(prompt)}) for prompt in prompts]

    def is_guided(self, guidance_scale: float) -> bool:
        """The model encodes the empty prompt itself, if it needs it."""
        return False

    def place(self, encoder: str) -> Place:
        """Refuse a correction."""
        raise ModelError(
            f"how a text encoder of {self._name} reaches its images is not known, so that nothing "
            "can be corrected; audit them as they are: `moesd-probe audit RUN --sequential 0.4 0.6 "
            "--side base`, or register its family: probe.images.models.model.FAMILIES"
        )

    def denoise(
        self,
        conditions: Conditions,
        empty: Conditions | None,
        seeds: Sequence[int],
        *,
        guidance_scale: float,
        n_steps: int,
    ) -> Any:
        """Call the function, and return its images."""
        prompts = [bytes(row[row > 0].tolist()).decode() for row in conditions.tensors["prompt"]]
        images = list(self._call(prompts, seeds, guidance_scale, n_steps))
        if len(images) != len(seeds) or not all(isinstance(of, Image.Image) for of in images):
            kinds = sorted({type(of).__name__ for of in images})
            raise ModelError(
                f"{self._name} returned {len(images)} of {', '.join(kinds) or 'nothing'} for "
                f"{len(seeds)} prompts; needed a PIL image for each"
            )
        return images

    def decode(self, latents: Any) -> list[Image.Image]:
        """Return the images."""
        return list(latents)

    @property
    def _name(self) -> str:
        return getattr(self.pipeline, "__name__", type(self.pipeline).__name__)

    def _call(
        self, prompts: list[str], seeds: Sequence[int], guidance_scale: float, n_steps: int
    ) -> Sequence[Any]:
        images: Sequence[Any] = self.pipeline(prompts, list(seeds))
        return images


class Generic(Function):
    """A text-to-image pipeline of diffusers of no known family, called for one image at a time."""

    def _call(
        self, prompts: list[str], seeds: Sequence[int], guidance_scale: float, n_steps: int
    ) -> Sequence[Any]:
        known = inspect.signature(self.pipeline.__call__).parameters
        wanted = {"guidance_scale": guidance_scale, "num_inference_steps": n_steps}
        options = {name: value for name, value in wanted.items() if name in known}
        images = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            images += self.pipeline(prompt=prompt, generator=generator, **options).images
        return images


def _bytes(prompt: str) -> torch.Tensor:
    content = prompt.encode()
    if len(content) > _MAX_BYTES:
        raise ModelError(f"a prompt has {len(content)} bytes; needed at most {_MAX_BYTES}")
    return torch.tensor([[*content, *[0] * (_MAX_BYTES - len(content))]], dtype=torch.uint8)
