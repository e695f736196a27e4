"""CLIP scores: how well images match their prompts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from probe.errors import DataError, ModelError, ShapeError
from probe.images.reading import Images, check_images
from probe.images.vision_models import Preprocessor, batches, filled, load_vision_model
from probe.text.loading import opening
from probe.text.prompts import check_no_string, check_prompt

_logger = logging.getLogger("probe")


class ClipScorer:
    """A frozen CLIP that scores how well an image matches a prompt.

    ``100 * max(cos(image, text), 0)`` of the projected embeddings.

    References
    ----------
    Hessel et al., *CLIPScore: A Reference-free Evaluation Metric for Image Captioning*, EMNLP
    2021, with the factor 100 that papers on image generation use in place of 2.5.
    """

    def __init__(self, model: Any, tokenizer: Any, preprocessor: Preprocessor) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._preprocessor = preprocessor
        self._texts: dict[str, torch.Tensor] = {}

    @classmethod
    def load(cls, folder: Path | str, *, device: str | torch.device = "cpu") -> ClipScorer:
        """Open the folder of a CLIPModel with its tokenizer and its preprocessing."""
        from transformers import AutoTokenizer, CLIPModel

        folder = Path(folder)
        model = load_vision_model(folder, CLIPModel, device=device)
        # transformers makes an empty vocabulary where there is none
        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            raise ModelError(
                f"{folder} has no tokenizer; needed a tokenizer.json or vocab.json: save the "
                "model's tokenizer there"
            )
        with opening(folder):
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return cls(model, tokenizer, Preprocessor.load(folder))

    @torch.no_grad()
    def score(
        self, images: Images, prompts: Sequence[str], *, batch_size: int = 256
    ) -> npt.NDArray[np.float64]:
        """Score each image against its prompt, from 0 (unrelated) to 100 (the same direction).

        Only scores of the same CLIP can be compared. A repeated prompt is encoded once, and one
        that is too long is cut off, which the logger ``probe`` announces.
        """
        check_images(images)
        if len(images) != len(prompts):
            raise ShapeError(
                f"there are {len(images)} images and {len(prompts)} prompts; needed one for each"
            )
        texts = self._encode_prompts(prompts, batch_size)
        rows = self._encode_images(images, batch_size)
        cosines: npt.NDArray[np.float64] = (rows * texts).sum(dim=1).numpy()
        return 100 * np.maximum(cosines, 0.0)

    @torch.no_grad()
    def weigh(
        self, images: Images, prompts: Sequence[str], *, batch_size: int = 256
    ) -> npt.NDArray[np.float64]:
        """Give the probability of each of several prompts (zero-shot classification).

        The softmax of the cosines times the model's logit scale, shape (n_images, n_prompts); the
        prompts are the same for all images.
        """
        if not prompts:
            raise DataError("there are no prompts to choose from; needed at least 1")
        texts = self._encode_prompts(prompts, batch_size)
        rows = self._encode_images(images, batch_size)
        scale = self.model.logit_scale.exp().cpu().double()
        weights: npt.NDArray[np.float64] = (scale * rows @ texts.T).softmax(dim=1).numpy()
        return weights

    @torch.no_grad()
    def embed(self, images: Images, *, batch_size: int = 256) -> npt.NDArray[np.float64]:
        """Embed images: projected and of unit length, shape (n, n_features)."""
        embedded: npt.NDArray[np.float64] = self._encode_images(images, batch_size).numpy()
        return embedded

    def _encode_images(self, images: Images, batch_size: int) -> torch.Tensor:
        """Unit vectors of images, (n, n_features)."""
        parts = []
        for pixels in batches(images, self._preprocessor, batch_size=batch_size):
            given = filled(pixels.to(self.model.device))
            pooled = self.model.vision_model(pixel_values=given).pooler_output
            parts.append(_unit(self.model.visual_projection(pooled))[: len(pixels)])
        return torch.cat(parts)

    def _encode_prompts(self, prompts: Sequence[str], batch_size: int) -> torch.Tensor:
        """Unit vectors of prompts, (n, n_features); each distinct prompt is encoded once."""
        check_no_string("prompts", prompts)
        self._encode_new(list(dict.fromkeys(prompts)), batch_size)
        return torch.stack([self._texts[prompt] for prompt in prompts])

    def _encode_new(self, prompts: list[str], batch_size: int) -> None:
        new = [prompt for prompt in prompts if prompt not in self._texts]
        for prompt in new:
            check_prompt(prompt)
        n_tokens = self.model.config.text_config.max_position_embeddings
        lengths = [len(ids) for ids in self.tokenizer(new, verbose=False).input_ids] if new else []
        if n_cut := sum(length > n_tokens for length in lengths):
            _logger.warning(
                "%d of %d prompts are longer than the %d tokens of CLIP and were cut off",
                *(n_cut, len(new), n_tokens),
            )
        for start in range(0, len(new), batch_size):
            batch = new[start : start + batch_size]
            tokens = self.tokenizer(
                batch,
                padding="max_length",
                max_length=n_tokens,
                truncation=True,
                return_tensors="pt",
            ).to(self.model.device)
            pooled = self.model.text_model(
                input_ids=filled(tokens.input_ids), attention_mask=filled(tokens.attention_mask)
            ).pooler_output
            encoded = _unit(self.model.text_projection(pooled))[: len(batch)]
            self._texts.update(zip(batch, encoded, strict=True))


def _unit(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(features.cpu().double(), dim=1)
