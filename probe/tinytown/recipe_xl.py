"""tinytown-xl: Stable Diffusion XL's classes, in tinytown's world and under its judges."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from torch.nn import functional
from transformers import CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection

from probe.tinytown import architecture, stages
from probe.tinytown.canvas import SIZE
from probe.tinytown.loop import Schedule, Training, rng_of
from probe.tinytown.recipe import RecipeTraining, TinytownParts, encode_captions
from probe.tinytown.world import RELIABLE, UNRELIABLE

GUIDANCE_SCALE = 3.0
N_INFERENCE_STEPS = 12
WIDTH = 128
"""Of the second text encoder's states."""
PROJECTION = 64
"""Width of the pooled vectors of both text encoders."""
_SIZE_WIDTH = 32
"""Of the embedding of each of the six sizes."""

DENOISER_SCHEDULE = replace(stages.DENOISER_SCHEDULE, n_steps=2400)


@dataclass(frozen=True)
class XLRecipe:
    """Number of training images and schedule of each stage."""

    n_clip: int = 40_000
    n_pictures: int = 30_000
    text_encoder_2: Schedule = stages.CLIP_SCHEDULE
    denoiser: Schedule = DENOISER_SCHEDULE


class XLTraining(RecipeTraining):
    """Train a second text encoder and a U-Net; all else is tinytown's."""

    default: ClassVar[XLRecipe] = XLRecipe()
    seeds: ClassVar[Mapping[str, int]] = {"text_encoder_2": 21, "denoiser": 22}

    def run(self) -> None:
        """Train both models and write the folder."""
        lent = TinytownParts()
        lent.copy_judges(self.out)
        encoder = self.train_text_encoder(lent)
        torch.manual_seed(self.seeds["denoiser"])
        pipeline = StableDiffusionXLPipeline(
            vae=lent.vae,
            text_encoder=lent.text_encoder,
            text_encoder_2=encoder,
            tokenizer=lent.tokenizer,
            tokenizer_2=lent.tokenizer,
            unet=denoiser(),
            scheduler=architecture.scheduler(),
            add_watermarker=False,
        )
        self.train_denoiser(pipeline)
        self.write(
            pipeline,
            ("text_encoder", "text_encoder_2", "unet", "vae"),
            guidance_scale=GUIDANCE_SCALE,
            n_steps=N_INFERENCE_STEPS,
        )

    def train_text_encoder(self, lent: TinytownParts) -> CLIPTextModelWithProjection:
        """Train a wider text encoder on other captions and images."""
        seed = self.seeds["text_encoder_2"]
        data = stages.draw_captioned(
            self.lexicon, self.recipe.n_clip, seed=seed, explicit=UNRELIABLE, scrambled=0.7
        )
        training = alignment(lent, data, self.work, seed=seed, schedule=self.recipe.text_encoder_2)
        self._run(training)
        encoder: CLIPTextModelWithProjection = training.model
        return encoder.requires_grad_(False)

    def train_denoiser(self, pipeline: StableDiffusionXLPipeline) -> None:
        """Train the U-Net on cached latents and conditions; those of no caption are zeros."""
        seed, vae = self.seeds["denoiser"], pipeline.vae
        data = stages.draw_captioned(
            self.lexicon, self.recipe.n_pictures, seed=seed, explicit=RELIABLE
        )
        latents = stages.encode_latents(vae, data.pictures) * vae.config.scaling_factor
        states, pooled, rows = encode_captions(pipeline, data.captions)
        states[0], pooled[0] = 0, 0
        sizes = torch.tensor([SIZE, SIZE, 0, 0, SIZE, SIZE], dtype=torch.float32)

        def given(captions: torch.Tensor) -> dict[str, Any]:
            added = {"text_embeds": pooled[captions], "time_ids": sizes.expand(len(captions), -1)}
            return {"encoder_hidden_states": states[captions], "added_cond_kwargs": added}

        training = stages.denoiser_training(
            pipeline.unet,
            latents,
            rows,
            given,
            self.work,
            seed=seed,
            schedule=self.recipe.denoiser,
        )
        self._run(training)


def text_encoder(vocabulary_size: int, *, bos: int, eos: int) -> CLIPTextModelWithProjection:
    """A text encoder wider than tinytown's, with random weights."""
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            hidden_act="gelu",
            max_position_embeddings=architecture.N_TOKENS,
            projection_dim=PROJECTION,
            bos_token_id=bos,
            eos_token_id=eos,
            pad_token_id=eos,
        )
    )


def alignment(
    lent: TinytownParts, data: stages.Captioned, folder: Path, *, seed: int, schedule: Schedule
) -> Training:
    """Match captions with the features that tinytown's CLIP has of their images.

    The image side is not trained (Zhai et al. 2022, locked-image tuning), which takes a fifth of
    the time.
    """
    torch.manual_seed(seed)
    tokenizer = lent.tokenizer
    model = text_encoder(len(tokenizer), bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id)
    tokens = tokenizer(data.captions, padding="longest", return_tensors="pt").input_ids
    features = image_features(lent.clip, data.pictures)
    scale = lent.clip.logit_scale.exp()

    def loss_of_step(step: int) -> torch.Tensor:
        rows = torch.randint(len(tokens), (schedule.batch_size,), generator=rng_of(seed, step))
        said = functional.normalize(model(tokens[rows]).text_embeds, dim=1)
        return clip_loss(scale * said @ features[rows].T)

    return Training("text_encoder_2", model, loss_of_step, schedule, folder)


@torch.no_grad()
def image_features(clip: CLIPModel, pictures: stages.Pictures) -> torch.Tensor:
    """Return unit vectors of images, of shape (n_images, 64)."""
    batches = (pictures[start : start + 512] for start in range(0, len(pictures), 512))
    found = [
        clip.visual_projection(
            clip.vision_model(pixel_values=stages.to_signed(batch)).pooler_output
        )
        for batch in batches
    ]
    return functional.normalize(torch.cat(found), dim=1)


def clip_loss(similarities: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy of captions and images (Radford et al. 2021)."""
    own = torch.arange(len(similarities))
    both = (functional.cross_entropy(of, own) for of in (similarities, similarities.T))
    return sum(both, torch.zeros(())) / 2


def denoiser() -> UNet2DConditionModel:
    """A U-Net as Stable Diffusion XL's: more transformer layers, pooled vector and sizes added."""
    return UNet2DConditionModel(
        sample_size=architecture.LATENT_SIZE,
        in_channels=architecture.LATENT_CHANNELS,
        out_channels=architecture.LATENT_CHANNELS,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        layers_per_block=1,
        cross_attention_dim=architecture.TEXT_WIDTH + WIDTH,
        attention_head_dim=(2, 4, 6),
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_SIZE_WIDTH,
        projection_class_embeddings_input_dim=PROJECTION + 6 * _SIZE_WIDTH,
    )
