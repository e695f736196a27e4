"""Steps of generating a batch: parts, latents, images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL.PngImagePlugin import PngInfo

from probe.arrays import Float32
from probe.images.guidance_cache import LEAST_ROWS
from probe.images.intervention import Condition, Intervention
from probe.images.memory import BatchLimit, free_bytes, peak_bytes
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model

if TYPE_CHECKING:
    from PIL import Image

    from probe.images.models.model import ImageModel

KEY = "key"
"""The text of a PNG file that is the image's key."""

_MOST = 100  # images in a batch
_LATENTS_IN_A_BATCH = _MOST * 16 * 16  # 100 images of 64 x 64, 6 of 512 x 512
_FREE = 0.8  # share of the free memory that a batch may take
_PIXELS = 64 * 64 * 64  # encoded at a time: 64 images of 64 x 64, 1 of 512 x 512

# glibc's malloc maps arrays beyond 32 MB anew each time: for 100 images of 64 x 64, clearing their
# pages takes up to a third of the decoder's time. With one thread, torch convolves fewer than
# `LEAST_ROWS` rows by another kernel, which rounds differently.
_DENOISED = 25
_LEAST_DENOISED = 20


class Part(NamedTuple):
    """What images that are denoised together are made from."""

    conditions: list[Condition]
    given: Conditions
    seeds: list[int]
    keys: list[str]
    files: list[str]


class Drawing(NamedTuple):
    """What all images of a plan are made with."""

    guidance_scale: float
    n_steps: int
    empty: Conditions | None  # of the empty prompt, which only guidance needs
    method: Intervention
    denoised: BatchLimit
    decoded: BatchLimit

    @classmethod
    def start(
        cls, guidance_scale: float, n_steps: int, empty: Conditions | None, method: Intervention
    ) -> Drawing:
        """Start with batches as large as the plan's."""
        limits = BatchLimit("denoise"), BatchLimit("decode")
        return cls(guidance_scale, n_steps, empty, method, *limits)

    @torch.no_grad()
    def latents(self, pipeline: Any, part: Part) -> Any:
        """Denoise the images of a part."""
        model = image_model(pipeline)
        empty = None if self.empty is None else self.empty.to(model.device)

        def denoise(rows: slice) -> Any:
            with self.method.denoising(pipeline, part.conditions[rows]):
                return model.denoise(
                    part.given[rows].to(model.device),
                    empty,
                    part.seeds[rows],
                    guidance_scale=self.guidance_scale,
                    n_steps=self.n_steps,
                )

        found = self.denoised.run(denoise, len(part.seeds))
        return found[0] if len(found) == 1 else torch.cat(found)

    def pngs(self, pipeline: Any, latents: Any, keys: list[str]) -> list[bytes]:
        """Decode latents to PNG files that hold the images' keys."""
        files = []
        for image, key in zip(decode(pipeline, latents, self.decoded), keys, strict=True):
            note, file = PngInfo(), BytesIO()
            note.add_text(KEY, key)
            image.save(file, "PNG", pnginfo=note)
            files.append(file.getvalue())
        return files


@torch.no_grad()
def decode(pipeline: Any, latents: Any, limit: BatchLimit | None = None) -> list[Image.Image]:
    """Decode latents in parts that a CPU computes fastest."""
    model, limit, images = image_model(pipeline), limit or BatchLimit("decode"), []
    for part in decoded_together(len(latents), model.device):

        def work(rows: slice, of_part: Any = latents[part]) -> list[Image.Image]:
            return model.decode(of_part[rows])

        n = part.stop - part.start
        images += [of for some in limit.run(work, n, saves_memory=model.tile) for of in some]
    return images


def open_drawing(
    drawing: Drawing, n_threads: int, dtype: str, models: Any
) -> Callable[[Part], list[bytes]]:
    """Open the pipeline on a worker, which makes PNG files of parts.

    For few rows torch rounds as the number of threads says; ``n_threads`` and ``dtype`` are the
    driver's.
    """
    pipeline, own = models.load_pipeline(dtype=dtype), torch.get_num_threads()

    @torch.no_grad()
    def draw(part: Part) -> list[bytes]:
        torch.set_num_threads(own if len(part.seeds) >= LEAST_ROWS else n_threads)
        return drawing.pngs(pipeline, drawing.latents(pipeline, part), part.keys)

    return draw


@torch.no_grad()
def encode_images(model: ImageModel, batches: Iterable[Float32]) -> torch.Tensor:
    """Encode images as mean latents, as many at a time as fit in a few GB of memory.

    Batches have shape (n, 3, height, width), with values from -1 to 1.
    """
    parts = (
        part
        for batch in batches
        for part in torch.from_numpy(batch).split(max(1, _PIXELS // batch[0, 0].size))
    )
    device = model.pipeline.vae.device
    return torch.cat([model.encode_images(part.to(device)) for part in parts])


def denoised_together(n_images: int, device: torch.device) -> list[slice]:
    """Divide a batch into parts that are denoised at once, without changing a bit.

    Their number is even where they stay large enough, so that two workers finish together.
    """
    n_parts = n_images // _DENOISED
    n_parts += n_parts % 2 and n_images >= _LEAST_DENOISED * (n_parts + 1)
    return _parts(n_images, n_parts, device)


def decoded_together(n_images: int, device: torch.device) -> list[slice]:
    """Divide a batch into parts that are decoded at once."""
    return _parts(n_images, n_images // LEAST_ROWS, device)


def fitting_batch(pipeline: Any) -> int:
    """Return the number of images that fit in a few GB of memory."""
    _, height, width = image_model(pipeline).latent_shape
    return max(1, min(_MOST, _LATENTS_IN_A_BATCH // (height * width)))


@torch.no_grad()
def largest_batch(pipeline: Any, guidance_scale: float) -> int:
    """Return the number of images that fit in the free memory of a GPU, measured on one image.

    Elsewhere it is `fitting_batch`: on a CPU no bit may depend on the memory that is free.
    """
    model = image_model(pipeline)

    def make_one() -> None:
        said, empty = (model.conditions([of]).to(model.device) for of in ("a photo", ""))
        given = said, empty if model.is_guided(guidance_scale) else None
        model.decode(model.denoise(*given, [0], guidance_scale=guidance_scale, n_steps=2))

    [needed] = BatchLimit("make").run(lambda _: peak_bytes(make_one, model.device), 1)
    if needed is None:
        return fitting_batch(pipeline)
    return max(1, min(_MOST, int(_FREE * free_bytes(model.device) / needed)))


def _parts(n: int, n_parts: int, device: torch.device) -> list[slice]:
    """Divide n into about equal parts on a CPU; not at all on an accelerator."""
    n_parts = max(1, n_parts) if device.type == "cpu" else 1
    edges = [part * n // n_parts for part in range(n_parts + 1)]
    return [slice(start, end) for start, end in pairwise(edges)]
