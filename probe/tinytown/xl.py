"""tinytown-xl: Stable Diffusion XL's classes, with the tokenizer, encoder and judges of tinytown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from probe.tinytown import architecture, stages
from probe.tinytown.canvas import SIZE
from probe.tinytown.loop import Schedule
from probe.tinytown.recipe import LaterTraining
from probe.tinytown.world import RELIABLE, UNRELIABLE

SEEDS = {"clip": 21, "denoiser": 22}
WIDTH = 128
"""Of the second text encoder's states."""
PROJECTION = 64
TIME_WIDTH = 32
"""Of the embedding of each of the six sizes."""


@dataclass(frozen=True)
class Recipe:
    """Number of training images and schedule of each stage."""

    n_clip: int = 40_000
    n_pictures: int = 30_000
    clip: Schedule = stages.CLIP_SCHEDULE
    denoiser: Schedule = stages.DENOISER_SCHEDULE


class XLTraining(LaterTraining):
    """Train the second text encoder and the U-Net; all else is tinytown's."""

    recipe: Recipe
    default = Recipe()

    def run(self) -> None:
        """Train both models and write the folder."""
        self.copy_judges()
        parts = self.tinytown()
        encoder = self.train_text_encoder(parts.tokenizer)
        pipeline = StableDiffusionXLPipeline(
            vae=parts.vae,
            text_encoder=parts.text_encoder,
            text_encoder_2=encoder,
            tokenizer=parts.tokenizer,
            tokenizer_2=parts.tokenizer,
            unet=denoiser(),
            scheduler=parts.scheduler,
            add_watermarker=False,
        )
        self.train_denoiser(pipeline)

    def train_text_encoder(self, tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
        """Train a second CLIP on other images, and keep its text side."""
        data = stages.draw_captioned(
            self.lexicon, self.recipe.n_clip, seed=SEEDS["clip"], explicit=UNRELIABLE, scrambled=0.7
        )
        training = stages.clip_training(
            data, tokenizer, self.work, seed=SEEDS["clip"], schedule=self.recipe.clip, width=WIDTH
        )
        self._run(training)
        return with_projection(training.model)
