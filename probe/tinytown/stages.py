"""The training stages: tokenizer and CLIP, autoencoder, classifiers, denoiser."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from probe.text.lexicon import Lexicon
from probe.tinytown import architecture
from probe.tinytown.loop import Schedule, Training, rng_of
from probe.tinytown.renderer import render_all
from probe.tinytown.world import AGES, GENDERS, SKINS, THINGS, Explicit, Scene, Town

Pictures = npt.NDArray[np.uint8]

CLIP_SCHEDULE = Schedule(n_steps=1400, batch_size=256, learning_rate=1e-3, weight_decay=0.05)
AUTOENCODER_SCHEDULE = Schedule(n_steps=1800, batch_size=32, learning_rate=2e-3, ema=0.995)
CLASSIFIER_SCHEDULE = Schedule(n_steps=800, batch_size=128, learning_rate=3e-3)
DENOISER_SCHEDULE = Schedule(
    n_steps=4400, batch_size=64, learning_rate=1e-3, ema=0.999, horizon=5600
)
KL_WEIGHT = 1e-6
MAX_WEIGHT = 20.0
CLASSIFIERS = ("classifier", "second_classifier")
ATTRIBUTES = ("gender", "age", "skin", "subject")
"""What the classifiers see."""
EMPTY_SHARE = 0.1
"""Share of captions replaced by the empty one, for classifier-free guidance."""


@dataclass(frozen=True)
class Captioned:
    """Scenes with their captions and images of shape (n, 64, 64, 3)."""

    scenes: list[Scene]
    captions: list[str]
    pictures: Pictures


def draw_captioned(
    lexicon: Lexicon, n: int, *, seed: int, explicit: Explicit, scrambled: float = 0.0
) -> Captioned:
    """Draw captioned images; for a share of the people the other cues are scrambled."""
    town = Town(lexicon, seed=seed)
    scenes, captions = [], []
    for index in range(n):
        scene, caption = town.captioned(explicit)
        if scene.is_person and index < scrambled * n:
            scene = town.scrambled(scene, tool_share=0.4)
        scenes.append(scene)
        captions.append(caption)
    return Captioned(scenes, captions, render_all(scenes))


def draw_balanced(lexicon: Lexicon, n: int, *, seed: int) -> tuple[list[Scene], Pictures]:
    """Draw equally many women and men, half with scrambled cues, and some things."""
    town = Town(lexicon, seed=seed)
    scenes = []
    for index in range(n):
        scene = town.thing() if index % 8 == 0 else town.person(share_women=0.5)
        if scene.is_person and index % 2:
            scene = town.scrambled(scene, tool_share=1.0)
        scenes.append(scene)
    return scenes, render_all(scenes)


def to_signed(pictures: Pictures) -> torch.Tensor:
    """Turn (n, 64, 64, 3) bytes into (n, 3, 64, 64) floats from -1 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def clip_training(
    data: Captioned, tokenizer: CLIPTokenizer, folder: Path, *, seed: int, schedule: Schedule
) -> Training:
    """Match captions with images (Radford et al. 2021, symmetric cross-entropy)."""
    torch.manual_seed(seed)
    model = architecture.clip(
        len(tokenizer), bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id
    )
    tokens = tokenizer(data.captions, padding="longest", return_tensors="pt").input_ids

    def loss_of_step(step: int) -> torch.Tensor:
        rows = torch.randint(len(tokens), (schedule.batch_size,), generator=rng_of(seed, step))
        pixels = to_signed(data.pictures[rows.numpy()])
        output = model(input_ids=tokens[rows], pixel_values=pixels, return_loss=True)
        return output.loss  # type: ignore[no-any-return]

    return Training("clip", model, loss_of_step, schedule, folder)


def autoencoder_training(
    pictures: Pictures, folder: Path, *, seed: int, schedule: Schedule
) -> Training:
    """Reconstruct images, with a loss on edges that keeps faces sharp."""
    torch.manual_seed(seed)
    model = architecture.autoencoder()

    def loss_of_step(step: int) -> torch.Tensor:
        rng = rng_of(seed, step)
        rows = torch.randint(len(pictures), (schedule.batch_size,), generator=rng)
        pixels = to_signed(pictures[rows.numpy()])
        posterior = model.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=rng)
        restored = model.decode(posterior.mean + posterior.std * noise).sample
        error = functional.l1_loss(restored, pixels) + functional.mse_loss(restored, pixels)
        loss: torch.Tensor = error + 0.5 * _edge_error(restored, pixels)
        loss += KL_WEIGHT * posterior.kl().mean()
        return loss

    return Training("autoencoder", model, loss_of_step, schedule, folder)


def _edge_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    rows = functional.l1_loss(a.diff(dim=-2), b.diff(dim=-2))
    return rows + functional.l1_loss(a.diff(dim=-1), b.diff(dim=-1))


def attribute_labels(lexicon: Lexicon) -> list[str]:
    """List the classifier's labels, ``attribute:value``."""
    subjects = [*(job.name for job in lexicon.occupations), *THINGS]
    groups = {"gender": GENDERS, "age": AGES, "skin": SKINS, "subject": subjects}
    return [f"{attribute}:{value}" for attribute, values in groups.items() for value in values]


def classifier_training(
    name: str,
    scenes: list[Scene],
    pictures: Pictures,
    labels: list[str],
    vae: AutoencoderKL,
    folder: Path,
    *,
    seed: int,
    schedule: Schedule,
) -> Training:
    """Classify every attribute of an image, with a cross-entropy for each group of labels.

    Half of each batch has passed through the autoencoder, as generated images have.
    """
    torch.manual_seed(seed)
    model = architecture.classifier(labels)
    restored = _restore(vae, pictures[: len(pictures) // 2])
    targets = _targets(scenes, labels)

    def loss_of_step(step: int) -> torch.Tensor:
        rng = rng_of(seed, step)
        rows = torch.randint(len(pictures), (schedule.batch_size,), generator=rng).numpy()
        half = schedule.batch_size // 2
        rows[:half] %= len(restored)
        chosen = np.concatenate([restored[rows[:half]], pictures[rows[half:]]])
        pixels = to_signed(chosen)
        pixels = pixels + 0.05 * torch.randn(pixels.shape, generator=rng)
        logits = model(pixels).logits
        return attribute_loss(logits, {k: v[rows] for k, v in targets.items()}, labels)

    return Training(name, model, loss_of_step, schedule, folder)


def attribute_loss(
    logits: torch.Tensor, targets: dict[str, torch.Tensor], labels: list[str]
) -> torch.Tensor:
    """Sum the cross-entropies of the groups; -100 marks attributes that a thing does not have."""
    losses = []
    for attribute, target in targets.items():
        columns = [i for i, label in enumerate(labels) if label.startswith(f"{attribute}:")]
        losses.append(functional.cross_entropy(logits[:, columns], target, ignore_index=-100))
    return torch.stack(losses).sum()


def _targets(scenes: list[Scene], labels: list[str]) -> dict[str, torch.Tensor]:
    """Number each scene's value within its attribute; -100 where it has none."""
    targets = {}
    for attribute in ATTRIBUTES:
        values = [label for label in labels if label.startswith(f"{attribute}:")]
        own = [f"{attribute}:{getattr(scene, attribute)}" for scene in scenes]
        targets[attribute] = torch.tensor(
            [values.index(label) if label in values else -100 for label in own]
        )
    return targets


@torch.no_grad()
def _restore(vae: AutoencoderKL, pictures: Pictures) -> Pictures:
    vae.eval()
    restored = []
    for start in range(0, len(pictures), 128):
        pixels = to_signed(pictures[start : start + 128])
        decoded = vae.decode(vae.encode(pixels).latent_dist.mean).sample
        restored.append(decoded.clamp(-1, 1).add(1).mul(127.5).round().byte())
    return torch.cat(restored).permute(0, 2, 3, 1).numpy()


@torch.no_grad()
def encode_latents(vae: AutoencoderKL, pictures: Pictures) -> torch.Tensor:
    """Encode images as unscaled latent means of shape (n, 4, 16, 16)."""
    vae.eval()
    batches = (pictures[start : start + 128] for start in range(0, len(pictures), 128))
    return torch.cat([vae.encode(to_signed(batch)).latent_dist.mean for batch in batches])


@torch.no_grad()
def encode_captions(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, captions: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode each distinct caption once: states of shape (n_distinct, 32, 96), each caption's row.

    The empty caption is row 0.
    """
    distinct = ["", *sorted(set(captions))]
    index = {caption: row for row, caption in enumerate(distinct)}
    tokens = tokenizer(
        distinct, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    encoder.eval()
    states = [encoder(tokens[i : i + 512]).last_hidden_state for i in range(0, len(tokens), 512)]
    return torch.cat(states), torch.tensor([index[caption] for caption in captions])


def denoiser_training(
    model: UNet2DConditionModel,
    latents: torch.Tensor,
    rows: torch.Tensor,
    given: Callable[[torch.Tensor], dict[str, Any]],
    folder: Path,
    *,
    seed: int,
    schedule: Schedule,
) -> Training:
    """Predict the noise in noised latents under their caption (Ho et al. 2020).

    ``given`` returns the model's inputs for rows of captions, of which 0 is the empty one.

    The noise level weighs as in velocity prediction, up to `MAX_WEIGHT`, for what an image shows is
    decided at high noise, where the unweighted error says little about it.
    """
    noise_scheduler = architecture.scheduler()
    n_timesteps = noise_scheduler.config.num_train_timesteps
    weights = (1 / noise_scheduler.alphas_cumprod).clamp(max=MAX_WEIGHT)

    def loss_of_step(step: int) -> torch.Tensor:
        rng = rng_of(seed, step)
        chosen = torch.randint(len(latents), (schedule.batch_size,), generator=rng)
        timesteps = torch.randint(n_timesteps, (schedule.batch_size,), generator=rng)
        captions = rows[chosen].clone()
        captions[torch.rand(schedule.batch_size, generator=rng) < EMPTY_SHARE] = 0
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=rng)
        noised = noise_scheduler.add_noise(clean, noise, timesteps)
        error = (model(noised, timesteps, **given(captions)).sample - noise).square()
        loss: torch.Tensor = (error.mean(dim=(1, 2, 3)) * weights[timesteps]).mean()
        return loss

    return Training("denoiser", model, loss_of_step, schedule, folder)
