"""Objectives that make each expert say the reweighted mixture: no pictures, plain price afterwards.

The teacher is the base model itself, reweighted (`probe.moesd.mixture.reweighting`): it needs each
prompt's counterfactuals and K more predictions a step. The experts learn what it says, and need
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from probe.moesd.mixture.calibrated import find_strengths
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.objectives import counterfactual_states, marked_states
from probe.moesd.mixture.reweighting import reweigh_prediction
from probe.moesd.mixture.shares import read_shares
from probe.moesd.mixture.trajectories import Trajectories

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

_N_NOISES = 2  # with zero signal, a share hardly differs from noise to noise


class MixtureStates:
    """Bring the corrected states to where the denoiser says that every value is as likely.

    ``mean |E(x) - x*|^2 / mean |x - x*|^2`` with ``x* = x + s (x_1 - x_2)``: x are the states of
    the neutral prompt marked with the special token, x_k those of its counterfactuals, E the expert
    against the prompt's lean, and s the step at which the share read off the denoiser is 1/2 (see
    `find_strengths`). 1: as far off as without an expert; 0: every share is even. The steps are
    found once; after that the image model takes no part.

    Parameters
    ----------
    moesd : MoESD
        Experts are trained; the token stays.
    prompts : sequence of str
        Prompts of training occupations that say no gender, skewed or not.
    counterfactuals : Counterfactuals
        One word an expert, in the order of `probe.moesd.experts.DIRECTIONS`.
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used as they are.
    seed : int
        Of the noises that shares are read off from.
    """

    name = "mixture states"
    pace = 5.0  # regression on fixed targets bears longer steps than the other objectives

    def __init__(
        self,
        moesd: MoESD,
        prompts: Sequence[str],
        counterfactuals: Counterfactuals,
        pipeline: Any,
        *,
        seed: int,
    ) -> None:
        self._experts = moesd.experts
        self._states = marked_states(moesd, prompts)
        self._toward_male = _leans_female(moesd, prompts)
        aligned = counterfactual_states(moesd, prompts, counterfactuals)
        apart = aligned[0] - aligned[1]

        def move(weights: torch.Tensor) -> torch.Tensor:
            steps = (weights[:, 0] - weights[:, 1]).to(apart)
            return self._states + steps[:, None, None] * apart

        self.found = find_strengths(
            pipeline,
            move,
            _said(moesd, prompts, counterfactuals),
            np.full(len(prompts), 1 / 2),
            n_noises=_N_NOISES,
            seed=seed,
        )
        self._targets = move(self.found.weights)
        self._scale = functional.mse_loss(self._states, self._targets)
        self.parameters = list(moesd.experts.parameters())

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        moved = self._experts(self._states, self._toward_male)
        return functional.mse_loss(moved, self._targets) / self._scale


class MixturePredictions:
    """Bring the denoiser's predictions under corrected prompts to the reweighted ones.

    ``mean |v(x_t, E(x)) - v'(x_t)|^2``, with v' the mixture under the neutral prompt in which
    every value is as likely, ``v_n + sum_k (w'_k - w_k) v_k``. The latents x_t are those that the
    reweighted model itself passes through, from pure noise down to where gender is decided; they
    and v' are computed once.

    Parameters
    ----------
    moesd, prompts, counterfactuals, pipeline
        As for `MixtureStates`.
    n_prompts : int
        Number of trajectories, each of one prompt and one noise.
    batch_size : int
        Latents in a step.
    seed : int
        Of prompts and noise.
    """

    name = "mixture predictions"
    pace = 1.0

    def __init__(
        self,
        moesd: MoESD,
        prompts: Sequence[str],
        counterfactuals: Counterfactuals,
        pipeline: Any,
        *,
        n_prompts: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self._experts, self._unet, self._batch_size = moesd.experts, pipeline.unet, batch_size
        pipeline.unet.requires_grad_(False)
        self._states = marked_states(moesd, prompts)
        self._toward_male = _leans_female(moesd, prompts)
        self.rng = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(prompts), (n_prompts,), generator=self.rng)
        states, said = moesd.encoder.states(prompts), _said(moesd, prompts, counterfactuals)
        self._bank = teach(pipeline, states, said, chosen, seed=seed)
        self.parameters = list(moesd.experts.parameters())

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._bank.draw(self._batch_size, self.rng)

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        latents, times, rows, target = self._bank.draw(self._batch_size, self.rng)
        states = self._experts(self._states[rows], self._toward_male[rows])
        predicted = self._unet(latents, times, encoder_hidden_states=states).sample
        return functional.mse_loss(predicted, target)


@torch.no_grad()
def teach(
    pipeline: Any,
    states: torch.Tensor,
    counterfactuals: torch.Tensor,
    chosen: torch.Tensor,
    *,
    seed: int,
) -> Trajectories:
    """Denoise from pure noise as a model that draws every value as often, and keep every step.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used as they are.
    states : Tensor of shape (n_prompts, n_tokens, n_features)
        Of prompts that leave the value open.
    counterfactuals : Tensor of shape (K, n_prompts, n_tokens, n_features)
    chosen : int Tensor of shape (n_trajectories,)
        Row of the states that each trajectory is denoised under.
    seed : int
        Of the noise.
    """
    read = read_shares(pipeline, states, counterfactuals, n_noises=_N_NOISES, seed=seed)
    prior = torch.from_numpy(read.shares)  # (n_prompts, K)
    even = torch.full((len(counterfactuals),), 1 / len(counterfactuals), dtype=torch.float64)

    def say(latents: torch.Tensor, time: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        plain, *said = (
            pipeline.unet(latents, time, encoder_hidden_states=of[rows]).sample
            for of in (states, *counterfactuals)
        )
        return reweigh_prediction(plain, torch.stack(said), prior[rows], even)

    return Trajectories.follow(pipeline, states, chosen, seed=seed, say=say)


def _said(moesd: MoESD, prompts: Sequence[str], counterfactuals: Counterfactuals) -> torch.Tensor:
    """States of the counterfactuals as they are encoded, (K, n_prompts, n_tokens, n_features)."""
    said = zip(*(counterfactuals.of(prompt, moesd.token) for prompt in prompts), strict=True)
    return torch.stack([moesd.encoder.states(list(of_word)) for of_word in said])


def _leans_female(moesd: MoESD, prompts: Sequence[str]) -> torch.Tensor:
    """Which prompts go to the expert toward male, (n_prompts,)."""
    return torch.from_numpy(moesd.gate.bias_score(moesd.encoder.embed(prompts)) < 0)
