"""Objectives on the denoiser's predictions: distillation from the frozen image model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from probe.images.denoising import fitting_batch, latent_shape
from probe.moesd.correction import Correction
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.reweighting import reweigh_prediction
from probe.moesd.mixture.shares import estimate_shares
from probe.moesd.objectives.diffusion import HIGH_NOISE
from probe.moesd.objectives.states import frozen_states, is_female_skewed

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents, time step, row of each latent's prompt) -> predictions, shaped as the latents."""

_N_NOISES = 2  # at pure noise, estimated shares hardly depend on the noise
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


Keep = Callable[[Callable[[], Trajectories]], Trajectories]
"""Returns what a function makes, or what it has made before an interruption."""


class DistilledPredictions:
    """Match the predictions under corrected prompts to those of a teacher.

    ``mean |v(x_t, E(x)) - v*(x_t)|^2`` over the latents x_t and predictions v* of stored
    trajectories, from pure noise down to where gender is decided. No images are needed. For each
    stored prediction, ``rows`` is the row of its neutral prompt with the special token in
    ``states``, shape (n_prompts, n_tokens, n_features), and ``toward_male`` its expert.
    """

    pace = 1.0

    name = "mixture predictions"

    def __init__(
        self,
        experts: Experts,
        unet: Any,
        states: torch.Tensor,
        trajectories: Trajectories,
        rows: torch.Tensor,
        toward_male: torch.Tensor,
        *,
        batch_size: int,
        rng: torch.Generator,
    ) -> None:
        self.rng, self.trajectories = rng, trajectories
        self._experts, self._unet, self._states = experts, unet.requires_grad_(False), states
        self._rows, self._toward_male, self._batch_size = rows, toward_male, batch_size
        self.parameters = list(experts.parameters())

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw()

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch, drawn with replacement."""
        drawn, bank = self._draw(), self.trajectories
        states = self._experts(self._states[self._rows[drawn]], self._toward_male[drawn])
        predicted = self._unet(
            bank.latents[drawn], bank.times[drawn], encoder_hidden_states=states
        ).sample
        return functional.mse_loss(predicted, bank.predictions[drawn])

    def _draw(self) -> torch.Tensor:
        return torch.randint(len(self._rows), (self._batch_size,), generator=self.rng)


def mixture_predictions(
    correction: Correction,
    prompts: Sequence[str],
    counterfactuals: Counterfactuals,
    pipeline: Any,
    *,
    n_prompts: int,
    batch_size: int,
    seed: int,
    keep: Keep = lambda make: make(),
) -> DistilledPredictions:
    """Teach the experts the predictions of the base model reweighted to equal shares.

    The reweighted model needs K more predictions at each step; the experts then need none.
    The prompts are those of `MixtureStates`; ``n_prompts`` is the number of trajectories. The token
    is not trained. ``keep`` stores trajectories.
    """
    states, rng = frozen_states(correction, prompts), torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(prompts), (n_prompts,), generator=rng)
    plain = correction.encoder.states(prompts)
    of_words = counterfactuals.states(correction.encoder, correction.token, prompts)
    bank = keep(lambda: balanced_trajectories(pipeline, plain, of_words, chosen, seed=seed))
    toward_male = is_female_skewed(correction, prompts)[bank.rows]
    return DistilledPredictions(
        correction.experts, pipeline.unet, states, bank, bank.rows, toward_male,
        batch_size=batch_size, rng=rng,
    )  # fmt: skip


@torch.no_grad()
def balanced_trajectories(
    pipeline: Any,
    states: torch.Tensor,
    counterfactuals: torch.Tensor,
    chosen: torch.Tensor,
    *,
    seed: int,
) -> Trajectories:
    """Follow a model that draws every value equally often; see `follow_trajectories`.

    The predictions are ``v_n + sum_k (w'_k - w_k) v_k`` (see `reweigh_prediction`), with the
    counterfactuals' states of shape (K, n_prompts, n_tokens, n_features).
    """
    found = estimate_shares(pipeline, states, counterfactuals, n_noises=_N_NOISES, seed=seed)
    prior = torch.from_numpy(found.shares)  # (n_prompts, K)
    even = torch.full((len(counterfactuals),), 1 / len(counterfactuals), dtype=torch.float64)

    def predict(latents: torch.Tensor, time: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        plain, *of_values = (
            pipeline.unet(latents, time, encoder_hidden_states=of[rows]).sample
            for of in (states, *counterfactuals)
        )
        return reweigh_prediction(plain, torch.stack(of_values), prior[rows], even)

    return follow_trajectories(pipeline, states, chosen, predict, seed=seed)


@torch.no_grad()
def follow_trajectories(
    pipeline: Any,
    states: torch.Tensor,
    chosen: torch.Tensor,
    predict: Predict,
    *,
    seed: int,
) -> Trajectories:
    """Denoise from pure noise under each chosen prompt, without guidance, and store each step.

    ``chosen`` is the row of each trajectory in ``states``, shape (n_prompts, n_tokens, n_features).
    """
    rng = torch.Generator().manual_seed(seed)
    stored: list[tuple[torch.Tensor, ...]] = []
    for rows in chosen.split(min(_BATCH, fitting_batch(pipeline))):
        scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
        scheduler.set_timesteps(_N_STEPS)
        end = HIGH_NOISE * scheduler.config.num_train_timesteps
        noise = torch.randn((len(rows), *latent_shape(pipeline)), generator=rng)
        latents = noise.to(states) * scheduler.init_noise_sigma
        for time in scheduler.timesteps:
            if time < end:
                break
            scaled = scheduler.scale_model_input(latents, time)
            predicted = predict(scaled, time, rows)
            stored.append((scaled, time.to(scaled.device).expand(len(rows)), rows, predicted))
            latents = scheduler.step(predicted, time, latents).prev_sample
    return Trajectories(*(torch.cat(column) for column in zip(*stored, strict=True)))
