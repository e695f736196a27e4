"""Objectives on the denoiser's predictions: distillation from the frozen image model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from probe.moesd.correction import Correction
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.reweighting import reweigh_prediction
from probe.moesd.mixture.shares import estimate_shares
from probe.moesd.objectives.states import frozen_states, is_female_skewed
from probe.moesd.objectives.trajectories import Trajectories

_N_NOISES = 2  # at pure noise, estimated shares hardly depend on the noise


class DistilledPredictions:
    """Match the predictions under corrected prompts to those of a teacher.

    ``mean |v(x_t, E(x)) - v*(x_t)|^2`` over the latents x_t and predictions v* of stored
    trajectories, from pure noise down to where gender is decided. No images are needed.

    Parameters
    ----------
    experts : Experts
        Trained; the ``unet`` is frozen.
    states : Tensor of shape (n_prompts, n_tokens, n_features)
        Of neutral prompts with the special token.
    prompts : int Tensor of shape (n,)
        Row of ``states`` for each stored prediction.
    toward_male : bool Tensor of shape (n,)
        The expert for each stored prediction.
    batch_size : int
        Predictions per step.
    """

    pace = 1.0

    def __init__(
        self,
        name: str,
        experts: Experts,
        unet: Any,
        states: torch.Tensor,
        trajectories: Trajectories,
        prompts: torch.Tensor,
        toward_male: torch.Tensor,
        *,
        batch_size: int,
        rng: torch.Generator,
    ) -> None:
        self.name, self.rng, self.trajectories = name, rng, trajectories
        self._experts, self._unet, self._states = experts, unet, states
        self._prompts, self._toward_male = prompts, toward_male
        self._batch_size = batch_size
        unet.requires_grad_(False)
        self.parameters = list(experts.parameters())

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        torch.randint(len(self._prompts), (self._batch_size,), generator=self.rng)

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch, drawn with replacement."""
        drawn = torch.randint(len(self._prompts), (self._batch_size,), generator=self.rng)
        bank = self.trajectories
        states = self._experts(self._states[self._prompts[drawn]], self._toward_male[drawn])
        predicted = self._unet(
            bank.latents[drawn], bank.times[drawn], encoder_hidden_states=states
        ).sample
        return functional.mse_loss(predicted, bank.predictions[drawn])


def counterfactual_predictions(
    correction: Correction,
    prompts: Sequence[str],
    counterfactuals: Counterfactuals,
    pipeline: Any,
    *,
    n_prompts: int,
    batch_size: int,
    seed: int,
) -> DistilledPredictions:
    """Teach each expert the image model's predictions under its counterfactual.

    Parameters
    ----------
    correction, prompts, counterfactuals
        As for `probe.moesd.objectives.states.CounterfactualStates`; the token is not trained.
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used.
    n_prompts : int
        Number of trajectories, each of one prompt and one value.
    batch_size, seed : int
    """
    states, rng = frozen_states(correction, prompts), torch.Generator().manual_seed(seed)
    words = correction.encoder, correction.token, prompts
    taught = counterfactuals.aligned_states(*words).flatten(0, 1)  # (K * n_prompts, ...)
    chosen = torch.randint(len(taught), (n_prompts,), generator=rng)
    bank = Trajectories.follow(pipeline, taught, chosen, seed=seed)
    return DistilledPredictions(
        "counterfactual predictions", correction.experts, pipeline.unet, states, bank,
        bank.rows % len(states), bank.rows // len(states) == 1, batch_size=batch_size, rng=rng,
    )  # fmt: skip


def mixture_predictions(
    correction: Correction,
    prompts: Sequence[str],
    counterfactuals: Counterfactuals,
    pipeline: Any,
    *,
    n_prompts: int,
    batch_size: int,
    seed: int,
) -> DistilledPredictions:
    """Teach the experts the predictions of the base model reweighted to equal shares.

    The reweighted model needs K more predictions at each step; the experts then need none.
    Parameters are those of `counterfactual_predictions`.
    """
    states, rng = frozen_states(correction, prompts), torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(prompts), (n_prompts,), generator=rng)
    plain = correction.encoder.states(prompts)
    of_words = counterfactuals.states(correction.encoder, correction.token, prompts)
    bank = balanced_trajectories(pipeline, plain, of_words, chosen, seed=seed)
    toward_male = is_female_skewed(correction, prompts)[bank.rows]
    return DistilledPredictions(
        "mixture predictions", correction.experts, pipeline.unet, states, bank,
        bank.rows, toward_male, batch_size=batch_size, rng=rng,
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
    """Denoise as a model that draws every value equally often, and store every step.

    The predictions are ``v_n + sum_k (w'_k - w_k) v_k`` (see `reweigh_prediction`).

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used.
    states : Tensor of shape (n_prompts, n_tokens, n_features)
        Of prompts that leave the value open.
    counterfactuals : Tensor of shape (K, n_prompts, n_tokens, n_features)
    chosen : int Tensor of shape (n_trajectories,)
        Row of the states for each trajectory.
    seed : int
        Of the noise.
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

    return Trajectories.follow(pipeline, states, chosen, seed=seed, predict=predict)
