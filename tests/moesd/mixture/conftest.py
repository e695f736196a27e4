"""A world whose denoiser is known in closed form: two Gaussians, one a value."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn

from probe.images.models.conditions import Conditions

N_STEPS = 1000


class ExactDenoiser(nn.Module):
    """The expected clean latents of a mixture ``q N(mu, s^2) + (1 - q) N(-mu, s^2)``.

    A prompt is its share q: states of shape (1, 1). 1 and 0 are the counterfactuals.
    """

    def __init__(self, scheduler: DDIMScheduler, *, mean: float = 2.0, spread: float = 0.3):
        super().__init__()
        self.mean, self.spread, self.signal = mean, spread, scheduler.alphas_cumprod
        self.config = SimpleNamespace(sample_size=1, in_channels=1)

    def posterior(self, latents, time, share):
        """Probability of the first value given noised latents, by Bayes' rule."""
        a, noise = self.signal[time].sqrt(), 1 - self.signal[time]
        variance = a**2 * self.spread**2 + noise
        log_ratio = 2 * a * self.mean * latents / variance
        return share / (share + (1 - share) * torch.exp(-log_ratio))

    def forward(self, latents, timestep, encoder_hidden_states, return_dict=True):
        share, time = encoder_hidden_states.reshape(-1, 1, 1, 1), timestep.reshape(-1, 1, 1, 1)
        a, noise = self.signal[time].sqrt(), 1 - self.signal[time]
        pull = a * self.spread**2 / (a**2 * self.spread**2 + noise)
        of_values = [mu + pull * (latents - a * mu) for mu in (self.mean, -self.mean)]
        weight = self.posterior(latents, time, share)
        clean = weight * of_values[0] + (1 - weight) * of_values[1]
        return SimpleNamespace(sample=clean) if return_dict else (clean,)


@dataclass(frozen=True)
class StableDiffusionPipeline:
    """Named as the class of its family, by which an image model is found."""

    unet: ExactDenoiser
    scheduler: DDIMScheduler

    @staticmethod
    def states(*shares):
        """Conditions equal to the shares, (n_prompts, 1, 1), and of the counterfactuals."""
        states = torch.tensor(shares, dtype=torch.float64).reshape(-1, 1, 1)
        of_values = torch.ones_like(states), torch.zeros_like(states)
        of, *others = (Conditions({"prompt_embeds": one}) for one in (states, *of_values))
        return of, others

    def draw(self, share, n, *, n_steps=50, seed=0):
        """Denoise n latents under one prompt; returns them."""
        self.scheduler.set_timesteps(n_steps)
        rng = torch.Generator().manual_seed(seed)
        latents = torch.randn(n, 1, 1, 1, generator=rng, dtype=torch.float64)
        states = torch.full((n, 1, 1), share, dtype=torch.float64)
        for time in self.scheduler.timesteps:
            (clean,) = self.unet(latents, time, encoder_hidden_states=states, return_dict=False)
            latents = self.scheduler.step(clean, time, latents).prev_sample
        return latents.flatten()


@pytest.fixture
def exact() -> StableDiffusionPipeline:
    scheduler = DDIMScheduler(
        num_train_timesteps=N_STEPS,
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )
    return StableDiffusionPipeline(ExactDenoiser(scheduler), scheduler)
