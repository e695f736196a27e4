"""The latents that a denoiser passes through on its own way from noise, kept to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from probe.moesd.objectives import HIGH_NOISE

Say = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents, time step, row of each latent's prompt) -> predictions, shaped as the latents."""

_N_STEPS = 12
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Latents of high noise with the prompt they were drawn under and what was predicted there."""

    latents: torch.Tensor
    """Shape (n, channels, height, width)."""
    times: torch.Tensor
    """Shape (n,): time step of each."""
    rows: torch.Tensor
    """Shape (n,): row of the states that each was denoised under."""
    predictions: torch.Tensor
    """Shape of ``latents``: what the denoiser said there."""

    @classmethod
    @torch.no_grad()
    def follow(
        cls,
        pipeline: Any,
        states: torch.Tensor,
        chosen: torch.Tensor,
        *,
        seed: int,
        say: Say | None = None,
    ) -> Trajectories:
        """Denoise from pure noise under each chosen prompt, without guidance, and keep every step.

        Parameters
        ----------
        pipeline : StableDiffusionPipeline
            Its scheduler is copied: the pipeline's own keeps its place.
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        chosen : int Tensor of shape (n_trajectories,)
            Row of the states that each trajectory is denoised under.
        seed : int
            Of the noise.
        say : callable, optional
            What is predicted in place of the denoiser's own.
        """
        unet = pipeline.unet
        size = unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        rng = torch.Generator().manual_seed(seed)
        kept: list[tuple[torch.Tensor, ...]] = []
        for rows in chosen.split(_BATCH):
            scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
            scheduler.set_timesteps(_N_STEPS)
            end = HIGH_NOISE * scheduler.config.num_train_timesteps
            shape = (len(rows), unet.config.in_channels, height, width)
            latents = torch.randn(shape, generator=rng).to(states) * scheduler.init_noise_sigma
            for time in scheduler.timesteps:
                if time < end:
                    break
                given = scheduler.scale_model_input(latents, time)
                said = (
                    unet(given, time, encoder_hidden_states=states[rows]).sample
                    if say is None
                    else say(given, time, rows)
                )
                kept.append((given, time.expand(len(rows)), rows, said))
                latents = scheduler.step(said, time, latents).prev_sample
        parts = (torch.cat(column) for column in zip(*kept, strict=True))
        return cls(*parts)

    def draw(
        self, n: int, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw ``n`` of them, with replacement: latents, times, rows, predictions."""
        picked = torch.randint(len(self.rows), (n,), generator=rng)
        return (
            self.latents[picked],
            self.times[picked],
            self.rows[picked],
            self.predictions[picked],
        )
