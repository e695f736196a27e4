"""Latents that a denoiser passes through from pure noise, stored for distillation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from probe.images.denoising import latent_shape
from probe.moesd.objectives.diffusion import HIGH_NOISE

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents, time step, row of each latent's prompt) -> predictions, shaped as the latents."""

_N_STEPS = 12
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Latents of high noise, each with its prompt and the prediction there."""

    latents: torch.Tensor
    """Shape (n, channels, height, width)."""
    times: torch.Tensor
    """Shape (n,): time step."""
    rows: torch.Tensor
    """Shape (n,): row of the prompt's states."""
    predictions: torch.Tensor
    """Shape of ``latents``."""

    @classmethod
    @torch.no_grad()
    def follow(
        cls,
        pipeline: Any,
        states: torch.Tensor,
        chosen: torch.Tensor,
        *,
        seed: int,
        predict: Predict | None = None,
    ) -> Trajectories:
        """Denoise from pure noise under each chosen prompt, without guidance, and store each step.

        Parameters
        ----------
        pipeline : StableDiffusionPipeline
            Its scheduler is copied, not changed.
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        chosen : int Tensor of shape (n_trajectories,)
            Row of the states for each trajectory.
        seed : int
            Of the noise.
        predict : callable, optional
            Replaces the denoiser's own prediction.
        """
        rng = torch.Generator().manual_seed(seed)
        stored: list[tuple[torch.Tensor, ...]] = []
        for rows in chosen.split(_BATCH):
            scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
            scheduler.set_timesteps(_N_STEPS)
            end = HIGH_NOISE * scheduler.config.num_train_timesteps
            noise = torch.randn((len(rows), *latent_shape(pipeline)), generator=rng)
            latents = noise.to(states) * scheduler.init_noise_sigma
            for time in scheduler.timesteps:
                if time < end:
                    break
                scaled = scheduler.scale_model_input(latents, time)
                predicted = (
                    pipeline.unet(scaled, time, encoder_hidden_states=states[rows]).sample
                    if predict is None
                    else predict(scaled, time, rows)
                )
                stored.append((scaled, time.expand(len(rows)), rows, predicted))
                latents = scheduler.step(predicted, time, latents).prev_sample
        return cls(*(torch.cat(column) for column in zip(*stored, strict=True)))
