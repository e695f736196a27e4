"""LoRA fine-tuning of the denoiser on balanced images of the training occupations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from probe.baselines import BASELINES
from probe.baselines.method import Material, Method
from probe.baselines.weights import EditedWeights
from probe.errors import DataError
from probe.images.denoising import encode_images, prediction_target, training_scheduler

ADAPTED = ["to_q", "to_k", "to_v", "to_out.0"]
"""Layers of every attention block that are adapted, as in diffusers' training script."""
_NAME = "default"


@BASELINES.register("lora")
def build(
    material: Material,
    *,
    rank: int = 4,
    n_steps: int = 100,
    batch_size: int = 48,
    learning_rate: float = 1e-3,
) -> Method:
    """Train PEFT's LoRA on the examples with the ordinary denoising loss, then merge it.

    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022; the recipe of
    diffusers' ``train_text_to_image_lora.py`` (rank 4, all attention layers, AdamW), on images that
    are balanced by gender and have neutral prompts. Shen et al., *Finetuning Text-to-Image
    Diffusion Models for Fairness*, ICLR 2024, use such a LoRA as a baseline. Steps and batch size
    are the defaults of the diffusion objective; the learning rate is our choice.
    """
    unet, scheduler = material.pipeline.unet, training_scheduler(material.pipeline)
    generator = torch.Generator().manual_seed(material.seed)
    pixels, prompts = material.examples()
    clean = encode_images(material.pipeline.vae, pixels)
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    states = material.encoder.states(list(row_of)).to(unet.device)
    rows = torch.tensor([row_of[prompt] for prompt in prompts])
    unet.requires_grad_(False)
    with _adapted(unet, rank, material.seed) as layers:
        parameters = [weight for weight in unet.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
        for step in range(n_steps):
            picked = torch.randint(len(clean), (batch_size,), generator=generator)
            n_times = scheduler.config.num_train_timesteps
            times = torch.randint(n_times, (batch_size,), generator=generator).to(clean.device)
            noise = torch.randn(batch_size, *clean.shape[1:], generator=generator).to(clean)
            noised = scheduler.add_noise(clean[picked], noise, times)
            predicted = unet(noised, times, states[rows[picked]]).sample
            target = prediction_target(scheduler, clean[picked], noise, times)
            loss = functional.mse_loss(predicted, target)
            if not torch.isfinite(loss):
                raise DataError(
                    f"the loss of the LoRA became {loss.item()} at step {step}; lower the learning "
                    f"rate (it is {learning_rate})"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        merged = {
            f"{name}.weight": layer.get_base_layer().weight.detach()
            + layer.get_delta_weight(_NAME).detach()
            for name, layer in layers.items()
        }
    return Method(EditedWeights(merged), n_trainable=sum(of.numel() for of in parameters))


@contextmanager
def _adapted(unet: Any, rank: int, seed: int) -> Iterator[dict[str, Any]]:
    """Insert LoRA layers into a U-Net, by name, and remove them afterwards."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ADAPTED
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(config, adapter_name=_NAME)
    try:
        yield {name: of for name, of in unet.named_modules() if isinstance(of, LoraLayer)}
    finally:
        unet.unload_lora()
