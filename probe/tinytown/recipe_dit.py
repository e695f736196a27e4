"""tinytown-dit: Stable Diffusion 3's classes, in tinytown's world and under its judges."""

import math
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from torch.nn import functional
from transformers import (
    CLIPModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from probe.text.checkpoints import SHIPPED
from probe.text.lexicon import Lexicon
from probe.tinytown import architecture, stages
from probe.tinytown.loop import Schedule, Training, rng_of
from probe.tinytown.occupations import NEVER_GENDERED
from probe.tinytown.recipe import RecipeTraining, TinytownParts, encode_captions
from probe.tinytown.world import RELIABLE, UNRELIABLE, Town

GUIDANCE_SCALE = 3.0
N_INFERENCE_STEPS = 14
N_TOKENS = 24
"""Of T5; a caption has 12 words at most."""
T5_WIDTH = 224
"""At least that of both CLIPs' states together."""
SHIFT = 2.0
"""How far the times move towards noise, where it is decided what an image shows."""

T5_SCHEDULE = Schedule(n_steps=1500, batch_size=128, learning_rate=2e-3)
DENOISER_SCHEDULE = Schedule(
    n_steps=2600, batch_size=64, learning_rate=1e-3, ema=0.999, horizon=4400
)


@dataclass(frozen=True)
class DitRecipe:
    """Number of captions and training images, and schedule of each stage."""

    n_captions: int = 100_000
    n_pictures: int = 30_000
    t5: Schedule = T5_SCHEDULE
    denoiser: Schedule = DENOISER_SCHEDULE


class DitTraining(RecipeTraining):
    """Train a T5 and a multimodal transformer; the CLIPs are those of the two other models."""

    default: ClassVar[DitRecipe] = DitRecipe()
    seeds: ClassVar[Mapping[str, int]] = {"t5": 31, "denoiser": 32}

    def run(self) -> None:
        """Train both models and write the folder."""
        lent = TinytownParts()
        lent.copy_judges(self.out)
        tokenizer, t5 = self.train_t5()
        torch.manual_seed(self.seeds["denoiser"])
        second = CLIPTextModelWithProjection.from_pretrained(
            SHIPPED["tinytown-xl"] / "text_encoder_2", dtype=torch.float32
        )
        lent.vae.register_to_config(shift_factor=0.0)
        pipeline = StableDiffusion3Pipeline(
            transformer=denoiser(),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
            vae=lent.vae,
            text_encoder=with_projection(lent.clip),
            tokenizer=lent.tokenizer,
            text_encoder_2=second,
            tokenizer_2=lent.tokenizer,
            text_encoder_3=t5,
            tokenizer_3=tokenizer,
        )
        self.train_denoiser(pipeline)
        self.write(
            pipeline,
            ("text_encoder", "text_encoder_2", "text_encoder_3", "transformer", "vae"),
            guidance_scale=GUIDANCE_SCALE,
            n_steps=N_INFERENCE_STEPS,
        )

    def train_t5(self) -> tuple[T5Tokenizer, T5EncoderModel]:
        """Learn to fill gaps in captions, and keep the encoder."""
        captions = draw_captions(self.lexicon, self.recipe.n_captions, seed=self.seeds["t5"])
        tokenizer = learn_tokenizer(captions)
        training = t5_training(
            captions, tokenizer, self.work, seed=self.seeds["t5"], schedule=self.recipe.t5
        )
        self._run(training)
        encoder = T5EncoderModel(training.model.config)
        encoder.load_state_dict(training.model.state_dict(), strict=False)
        return tokenizer, encoder.eval().requires_grad_(False)

    def train_denoiser(self, pipeline: StableDiffusion3Pipeline) -> None:
        """Train the transformer on cached latents and conditions."""
        seed, vae = self.seeds["denoiser"], pipeline.vae
        data = stages.draw_captioned(
            self.lexicon, self.recipe.n_pictures, seed=seed, explicit=RELIABLE
        )
        latents = stages.encode_latents(vae, data.pictures) * vae.config.scaling_factor
        states, pooled, rows = encode_captions(
            pipeline, data.captions, prompt_2=None, prompt_3=None, max_sequence_length=N_TOKENS
        )
        self._run(
            flow_training(
                pipeline, latents, (states, pooled, rows), self.work, seed, self.recipe.denoiser
            )
        )


def with_projection(clip: CLIPModel) -> CLIPTextModelWithProjection:
    """Return the text side of a CLIP with its pooled vector."""
    encoder = CLIPTextModelWithProjection(clip.text_model.config)
    encoder.text_model.load_state_dict(clip.text_model.state_dict())
    encoder.text_projection.load_state_dict(clip.text_projection.state_dict())
    encoder.eval().requires_grad_(False)
    return encoder


def draw_captions(lexicon: Lexicon, n: int, *, seed: int) -> list[str]:
    """Draw captions without their images; a half state the gender, by the planted shares.

    So text alone can teach what images teach the CLIPs: how often an occupation has which gender.
    """
    town = Town(lexicon, seed=seed)
    captions = []
    for index in range(n):
        scene, caption = town.captioned(UNRELIABLE)
        if index % 2:
            scene = town.person()
            stated = "" if scene.subject in NEVER_GENDERED else scene.gender
            caption = town.caption(scene, stated=stated)
        captions.append(caption)
    return captions


def learn_tokenizer(captions: Iterable[str]) -> T5Tokenizer:
    """Make a word a token; every other word falls back to single letters."""
    words = Counter(word for caption in captions for word in caption.lower().split())
    total = sum(words.values())
    ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    letters = string.ascii_letters + string.digits + string.punctuation
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -20.0)]
    vocabulary += [(f"▁{word}", math.log(count / total)) for word, count in ranked]
    vocabulary += [(letter, -20.0) for letter in letters]
    vocabulary += [("<extra_id_1>", 0.0), ("<extra_id_0>", 0.0)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=2, model_max_length=N_TOKENS)


def t5(vocabulary_size: int) -> T5ForConditionalGeneration:
    """An encoder as in T5 version 1.1, with a decoder of one layer for its training."""
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=vocabulary_size,
            d_model=T5_WIDTH,
            d_kv=32,
            d_ff=2 * T5_WIDTH,
            num_layers=3,
            num_decoder_layers=1,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,  # type: ignore[call-arg]  # an option of every model
            decoder_start_token_id=0,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def t5_training(
    captions: list[str], tokenizer: T5Tokenizer, folder: Path, *, seed: int, schedule: Schedule
) -> Training:
    """Restore one to three words that are cut out of a caption (Raffel et al. 2020)."""
    torch.manual_seed(seed)
    model = t5(len(tokenizer))
    words = [caption.split() for caption in captions]

    def loss_of_step(step: int) -> torch.Tensor:
        rng = rng_of(seed, step)
        given, asked = [], []
        for row in torch.randint(len(words), (schedule.batch_size,), generator=rng).tolist():
            caption = words[row]
            n_cut = 1 + int(torch.randint(min(3, len(caption) - 1), (), generator=rng))
            start = int(torch.randint(len(caption) - n_cut + 1, (), generator=rng))
            end = start + n_cut
            given.append(" ".join([*caption[:start], "<extra_id_0>", *caption[end:]]))
            asked.append(" ".join(["<extra_id_0>", *caption[start:end], "<extra_id_1>"]))
        inputs, labels = (
            tokenizer(texts, padding=True, return_tensors="pt") for texts in (given, asked)
        )
        wanted = labels.input_ids.masked_fill(labels.attention_mask == 0, -100)
        return model(**inputs, labels=wanted).loss  # type: ignore[no-any-return]

    return Training("t5", model, loss_of_step, schedule, folder)


def denoiser() -> SD3Transformer2DModel:
    """A transformer whose image and text tokens attend to each other."""
    width = 128
    return SD3Transformer2DModel(
        sample_size=architecture.LATENT_SIZE,
        patch_size=2,
        in_channels=architecture.LATENT_CHANNELS,
        out_channels=architecture.LATENT_CHANNELS,
        num_layers=5,
        attention_head_dim=64,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=width,
        pooled_projection_dim=128,
        pos_embed_max_size=8,
    )


def flow_training(
    pipeline: StableDiffusion3Pipeline,
    latents: torch.Tensor,
    conditions: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    folder: Path,
    seed: int,
    schedule: Schedule,
) -> Training:
    """Predict the velocity from image to noise (Esser et al. 2024), at the scheduler's times."""
    model, times = pipeline.transformer, pipeline.scheduler.timesteps
    sigmas = pipeline.scheduler.sigmas
    states, pooled, rows = conditions

    def loss_of_step(step: int) -> torch.Tensor:
        rng = rng_of(seed, step)
        chosen = torch.randint(len(latents), (schedule.batch_size,), generator=rng)
        drawn = torch.randint(len(times), (schedule.batch_size,), generator=rng)
        captions = rows[chosen].clone()
        captions[torch.rand(schedule.batch_size, generator=rng) < stages.EMPTY_SHARE] = 0
        clean, sigma = latents[chosen], sigmas[drawn].view(-1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=rng)
        predicted = model(
            torch.lerp(clean, noise, sigma),
            timestep=times[drawn],
            encoder_hidden_states=states[captions],
            pooled_projections=pooled[captions],
        ).sample
        return functional.mse_loss(predicted, noise - clean)

    return Training("denoiser", model, loss_of_step, schedule, folder)
