"""LoRA fine-tuning of the denoiser on balanced pictures of the training occupations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from probe.baselines.method import Material, Method
from probe.baselines.weights import EditedWeights
from probe.errors import DataError

ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers of every attention block that are adapted, as in diffusers' training script."""


class LowRank(nn.Module):
    """A change of rank r to a linear layer, ``W + B A``, that starts at zero.

    Parameters
    ----------
    layer : nn.Linear
        Its weight gives the shape; it is not changed.
    rank : int
    generator : torch.Generator
        Draws A; B is zero.

    References
    ----------
    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022, equation 3.
    """

    def __init__(self, layer: nn.Linear, *, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        drawn = torch.randn(rank, layer.in_features, generator=generator) / rank
        self.down = nn.Parameter(drawn.to(layer.weight))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank).to(layer.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the layer's output for inputs (..., in_features)."""
        return x @ self.down.T @ self.up.T

    def change(self) -> torch.Tensor:
        """Return ``B A``, of the shape of the layer's weight."""
        return (self.up @ self.down).detach()


def build(
    material: Material,
    *,
    rank: int = 4,
    n_steps: int = 100,
    batch_size: int = 48,
    learning_rate: float = 1e-3,
) -> Method:
    """Train on the examples with the ordinary denoising loss, then merge the change.

    References
    ----------
    The recipe of diffusers' ``train_text_to_image_lora.py`` (rank 4, all attention layers, AdamW),
    on pictures that are balanced by gender and answer neutral prompts. That a LoRA trained so is a
    baseline of fairness follows Shen et al., *Finetuning Text-to-Image Diffusion Models for
    Fairness*, ICLR 2024, whose own loss is another one. Steps and batch are those that the
    experts' diffusion objective has by default; the rate is our choice.

    Raises
    ------
    DataError
        If the loss is not finite.
    """
    unet, scheduler = material.pipeline.unet, material.pipeline.scheduler
    generator = torch.Generator().manual_seed(material.seed)
    pixels, prompts = material.examples()
    clean = encode_pictures(material.pipeline.vae, pixels)
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    states = material.encoder.states(list(row_of)).to(unet.device)
    rows = torch.tensor([row_of[prompt] for prompt in prompts])
    adapters = {
        name: LowRank(layer, rank=rank, generator=generator) for name, layer in _layers(unet)
    }
    parameters = [of for adapter in adapters.values() for of in adapter.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
    unet.requires_grad_(False)
    with ExitStack() as hooks:
        for name, adapter in adapters.items():
            layer = unet.get_submodule(name)
            hooks.callback(layer.register_forward_hook(_adding(adapter)).remove)
        for step in range(n_steps):
            picked = torch.randint(len(clean), (batch_size,), generator=generator)
            n_times = scheduler.config.num_train_timesteps
            times = torch.randint(n_times, (batch_size,), generator=generator)
            noise = torch.randn(batch_size, *clean.shape[1:], generator=generator).to(clean)
            times = times.to(clean.device)
            noised = scheduler.add_noise(clean[picked], noise, times)
            target = noise
            if scheduler.config.prediction_type == "v_prediction":
                target = scheduler.get_velocity(clean[picked], noise, times)
            predicted = unet(noised, times, states[rows[picked]]).sample
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
        f"{name}.weight": unet.get_submodule(name).weight.detach() + adapter.change()
        for name, adapter in adapters.items()
    }
    return Method(EditedWeights(merged), n_trainable=sum(of.numel() for of in parameters))


@torch.no_grad()
def encode_pictures(vae: Any, pixels: npt.NDArray[np.float32]) -> torch.Tensor:
    """Encode pictures (n, 3, height, width) to the mean latents that the denoiser works on."""
    batches = torch.from_numpy(pixels).split(64)
    latents = torch.cat([vae.encode(of.to(vae.device)).latent_dist.mean for of in batches])
    scaled: torch.Tensor = latents * vae.config.scaling_factor
    return scaled


def _layers(unet: Any) -> Iterator[tuple[str, nn.Linear]]:
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Linear) and name.endswith(ADAPTED) and ".attn" in name:
            yield name, layer


def _adding(adapter: LowRank) -> Any:
    def add(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = output + adapter(inputs[0])
        return added

    return add
