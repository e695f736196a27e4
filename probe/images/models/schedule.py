"""How a denoiser was trained: which noise it sees, and what it predicts."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch


class Schedule:
    """Noise added in steps, of which the noise, the velocity or the image is predicted.

    Noise is added as in the training of the denoiser; schedulers such as Euler and DPM-Solver add
    that of their own steps. A time is an integer of ``n_times`` from ``first`` on.
    """

    first = 0

    def __init__(self, config: Any) -> None:
        self._config = config
        self.n_times = int(config.num_train_timesteps)

    @property
    def last(self) -> int:
        """The time of pure noise."""
        return self.first + self.n_times - 1

    def add_noise(
        self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        """Return noised latents; all have shape (n_images, channels, height, width)."""
        noised: torch.Tensor = self._scheduler.add_noise(clean, noise, times)
        return noised

    def target(self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Return what the denoiser was trained to predict."""
        kind = self._config.prediction_type
        if kind == "v_prediction":
            velocity: torch.Tensor = self._scheduler.get_velocity(clean, noise, times)
            return velocity
        return clean if kind == "sample" else noise

    def parts_of(
        self, noised: torch.Tensor, predicted: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clean latents and the noise that a prediction for noised latents implies.

        Noised latents are ``x = a c + s n`` and the target ``p = u c + v n``, with clean latents c
        and noise n. So ``c = (v x - s p) / (a v - s u)`` and ``n = (a p - u x) / (a v - s u)``.
        """
        one, zero = noised.new_ones(len(times), 1, 1, 1), noised.new_zeros(len(times), 1, 1, 1)
        a, s = self.add_noise(one, zero, times), self.add_noise(zero, one, times)
        u, v = self.target(one, zero, times), self.target(zero, one, times)
        determinant = a * v - s * u
        clean = (v * noised - s * predicted) / determinant
        return clean, (a * predicted - u * noised) / determinant

    @cached_property
    def _scheduler(self) -> Any:
        from diffusers import DDPMScheduler

        return DDPMScheduler.from_config(self._config)


class FlowSchedule(Schedule):
    """Flow matching: ``x_t = (1 - s) x + s n`` at ``s = t / n_times``, and ``n - x`` is predicted.

    References
    ----------
    Lipman et al., *Flow Matching for Generative Modeling*, ICLR 2023; Esser et al., *Scaling
    Rectified Flow Transformers for High-Resolution Image Synthesis*, ICML 2024, equation 13.
    """

    first = 1

    def add_noise(
        self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        """Interpolate between the image and the noise."""
        share = (times / self.n_times).to(clean)[:, None, None, None]
        return (1 - share) * clean + share * noise

    def target(self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Return the velocity from the image to the noise."""
        return noise - clean


def schedule_of(scheduler: Any) -> Schedule:
    """Return the schedule of the training that a pipeline's scheduler belongs to."""
    config = scheduler.config
    is_flow = getattr(config, "prediction_type", "") == "flow_prediction"
    if is_flow or "FlowMatch" in type(scheduler).__name__:
        return FlowSchedule(config)
    return Schedule(config)
