"""Load vision models and feed them images, for attributes and quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from probe.errors import DataError, ModelError
from probe.images.guidance_cache import LEAST_ROWS
from probe.images.reading import Images, open_batches
from probe.io.progress import Progress
from probe.text.checkpoints import refuse_pickle
from probe.text.loading import find_device, opening


def load_vision_model(folder: Path | str, kind: Any, *, device: str | torch.device) -> Any:
    """Load a transformers vision model, frozen, in float32, by the class of its kind."""
    device = find_device(device)
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json; needed the folder of a {kind.__name__}, as "
            "save_pretrained writes it"
        )
    refuse_pickle(folder)
    with opening(folder):
        model, report = kind.from_pretrained(
            str(folder),
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        # transformers would fill them with random numbers
        raise ModelError(
            f"{folder} has no weights {', '.join(missing[:3])} ({len(missing)} in all); needed a "
            f"complete {kind.__name__}"
        )
    return model.eval().requires_grad_(False).to(device)


class Preprocessor:
    """A model's preprocessing of images, from its ``preprocessor_config.json``.

    This is transformers' image processor with its PIL backend; the torchvision backend computes
    other pixels.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    @classmethod
    def load(cls, folder: Path | str) -> Preprocessor:
        """Read the preprocessing of the model in a folder."""
        from transformers import AutoImageProcessor

        folder = Path(folder)
        if not (folder / "preprocessor_config.json").is_file():
            raise ModelError(
                f"{folder} has no preprocessor_config.json; needed the size, mean and standard "
                "deviation of the model's training images: save its image processor there"
            )
        with opening(folder):
            return cls(
                AutoImageProcessor.from_pretrained(
                    str(folder), local_files_only=True, backend="pil"
                )
            )

    def __call__(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Turn RGB images into a float32 Tensor of shape (n, 3, height, width)."""
        rows = [np.asarray(row) for row in self._processor(list(images))["pixel_values"]]
        if len(shapes := {row.shape for row in rows}) > 1:
            raise DataError(
                f"the images differ in size after preprocessing, {sorted(shapes)}; needed one "
                "size: crop them, or set do_center_crop in preprocessor_config.json"
            )
        return torch.from_numpy(np.stack(rows)).float()

    def of_tensor(self, images: torch.Tensor) -> torch.Tensor:
        """Preprocess images of shape (n, 3, height, width), from -1 to 1; gradients pass.

        They are resized, cropped at the center and normalised as the processor says, but for the
        rounding of pixels.
        """
        of, images = self._processor, (images + 1) / 2
        if of.do_resize:
            size = [of.size.get(side) for side in ("height", "width")]
            if None in size:
                scale = of.size["shortest_edge"] / min(images.shape[2:])
                size = [round(scale * side) for side in images.shape[2:]]
            if size != [*images.shape[2:]]:
                images = functional.interpolate(images, size, mode="bicubic", antialias=True)
        if getattr(of, "do_center_crop", False):
            height, width = of.crop_size["height"], of.crop_size["width"]
            top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
            images = images[:, :, top : top + height, left : left + width]
        if of.do_normalize:
            mean, deviation = (
                images.new_tensor(part)[:, None, None] for part in (of.image_mean, of.image_std)
            )
            images = (images - mean) / deviation
        return images


def batches(
    images: Images,
    preprocessor: Preprocessor,
    *,
    batch_size: int,
    progress: Progress | None = None,
) -> Iterator[torch.Tensor]:
    """Open and preprocess images batch by batch, as `open_batches` opens them."""
    for batch in open_batches(images, batch_size=batch_size, progress=progress):
        yield preprocessor(list(batch.values()))


def filled(rows: torch.Tensor) -> torch.Tensor:
    """Repeat the last row up to `LEAST_ROWS`, below which other kernels round differently.

    A model's output for a row then does not depend on the other rows.
    """
    return torch.cat([rows, *[rows[-1:]] * (LEAST_ROWS - len(rows))])
