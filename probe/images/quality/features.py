"""Features of images from any vision model's folder, behind a clean resize."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from probe.arrays import Double
from probe.errors import ModelError
from probe.images.reading import Images, open_batches
from probe.images.vision_models import load_vision_model
from probe.io.progress import Progress
from probe.text.checkpoints import read_config
from probe.text.loading import opening


class FeatureExtractor:
    """A frozen vision model that turns images into features to compare sets by.

    Of a CLIPModel the projected embedding, of unit length; of any other model that ``AutoModel``
    opens (DINOv2, ViT, ResNet) the pooled output, as it is.

    ``name`` is the kind of model and its folder's name, printed with each figure: figures in
    different features cannot be compared.
    """

    def __init__(self, model: Any, name: str, size: tuple[int, int], norm: tuple[Any, Any]) -> None:
        self.model = model
        self.name = name
        self._size = size
        self._norm = norm

    @classmethod
    def load(cls, folder: Path | str, *, device: str | torch.device = "cpu") -> FeatureExtractor:
        """Open a folder with a ``preprocessor_config.json``."""
        from transformers import AutoModel, CLIPModel

        folder = Path(folder)
        config = read_config(folder / "config.json")
        kind = CLIPModel if config.get("model_type") == "clip" else AutoModel
        settings = read_config(folder / "preprocessor_config.json")
        model = load_vision_model(folder, kind, device=device)
        norm = tuple(
            np.array(settings.get(key) or default, dtype=np.float32)
            for key, default in (("image_mean", [0.0] * 3), ("image_std", [1.0] * 3))
        )
        name = f"{type(model).__name__} ({folder.parent.name}/{folder.name})"
        extractor = cls(model, name, _size(folder, settings), (norm[0], norm[1]))
        with opening(folder):  # a model without vision is refused here, not after hours
            extractor.extract([Image.new("RGB", extractor._size[::-1])])
        return extractor

    @torch.no_grad()
    def chunks(
        self, images: Images, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Iterator[Double]:
        """Yield features batch by batch, each of shape (n_in_batch, d): nothing else is kept.

        Parameters and errors are those of `probe.images.attributes.AttributeClassifier.label`.
        """
        for batch in open_batches(images, batch_size=batch_size):
            rows = np.stack([self._prepared(image) for image in batch.values()])
            yield self._features(torch.from_numpy(rows).to(self.model.device))
            if progress is not None:
                progress(max(batch) + 1, len(images))

    def extract(
        self, images: Images, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Double:
        """Give the features of all images at once, shape (n, d)."""
        return np.concatenate(list(self.chunks(images, batch_size=batch_size, progress=progress)))

    def _prepared(self, image: Image.Image) -> npt.NDArray[np.float32]:
        mean, std = self._norm
        pixels = (clean_resize(image, self._size) / 255.0 - mean) / std
        prepared: npt.NDArray[np.float32] = pixels.transpose(2, 0, 1).astype(np.float32)
        return prepared  # (3, height, width)

    def _features(self, pixels: torch.Tensor) -> Double:
        vision = getattr(self.model, "vision_model", self.model)
        found = vision(pixel_values=pixels).pooler_output
        if found is None:
            raise ModelError(f"{self.name} pools nothing; needed a model with pooler_output")
        if hasattr(self.model, "visual_projection"):
            found = torch.nn.functional.normalize(self.model.visual_projection(found), dim=-1)
        rows: Double = found.flatten(1).cpu().double().numpy()
        return rows


def clean_resize(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Resize an image in floating point, with antialiasing, and round nothing.

    The largest central crop with the shape of the result is taken. Bicubic, channel by channel, as
    clean-fid does it: resizing bytes rounds and clips, which changes distances between sets of
    images. The result has the shape (height, width, 3), from about 0 to 255 (bicubic overshoots).

    References
    ----------
    Parmar, Zhang, Zhu, *On Aliased Resizing and Surprising Subtleties in GAN Evaluation*, CVPR
    2022.
    """
    height, width = size
    scale = min(image.width / width, image.height / height)
    wide, high = scale * width, scale * height
    left, top = (image.width - wide) / 2, (image.height - high) / 2
    channels = [
        np.asarray(
            Image.fromarray(channel).resize(
                (width, height), Image.Resampling.BICUBIC, (left, top, left + wide, top + high)
            )
        )
        for channel in np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    ]
    return np.stack(channels, axis=-1)


def _size(folder: Path, settings: dict[str, Any]) -> tuple[int, int]:
    for key in ("crop_size", "size"):
        size = settings.get(key)
        if isinstance(size, dict) and "height" in size and "width" in size:
            return int(size["height"]), int(size["width"])
        edge = size.get("shortest_edge") if isinstance(size, dict) else size
        if isinstance(edge, int):
            return edge, edge
    raise ModelError(
        f"{folder / 'preprocessor_config.json'} gives no size of images; needed crop_size or size"
    )
