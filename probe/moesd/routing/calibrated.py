"""Calibrated routing: each prompt's expert is as strong as the denoiser's shares require."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from probe.arrays import Double
from probe.errors import ShapeError
from probe.images.intervention import Condition, Intervention
from probe.moesd.correction import Correction
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import first_noises, unguided

Targets = Callable[[Sequence[str]], Sequence[Double]]
"""Prompts -> wanted shares of the values for each."""

ROUTE = "calibrated"
MAX_STRENGTH = 2.0
"""Greatest weight of an expert."""
_N_HALVINGS = 8
_BATCH = 16  # predictions computed at a time


@dataclass(frozen=True, eq=False)
class Strengths:
    """Calibrated strength of each prompt's experts, and the shares that result."""

    weights: torch.Tensor
    """Shape (n_prompts, 2), in the order of `DIRECTIONS`; one of each row is 0."""
    before: Double
    """Shape (n_prompts,): predicted share of the first value without an expert."""
    after: Double
    """Shape (n_prompts,): predicted share with the experts at these weights."""


@torch.no_grad()
def calibrate_strengths(
    pipeline: Any,
    states_at: Callable[[torch.Tensor], torch.Tensor],
    counterfactuals: torch.Tensor,
    target: Double,
    *,
    n_noises: int = 4,
    seed: int = 0,
) -> Strengths:
    """Find the strengths at which the denoiser predicts the wanted shares.

    At pure noise the share of the first value is ``<v - v_2, v_1 - v_2> / |v_1 - v_2|^2`` (see
    `probe.moesd.mixture.shares`). It increases with the strength of the expert of the first value,
    so the strength is bisected between 0 and `MAX_STRENGTH`; if that does not suffice, it is used,
    and ``after`` shows the remaining gap. This takes 12 predictions per prompt and noise.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used.
    states_at : callable
        Weights of shape (n_prompts, 2) -> states of shape (n_prompts, n_tokens, n_features).
    counterfactuals : Tensor of shape (2, n_prompts, n_tokens, n_features)
        States of each prompt's counterfactuals.
    target : ndarray of shape (n_prompts,)
        Wanted shares of the first value, without guidance.
    n_noises : int
        Noises per prompt, the same for all prompts.
    seed : int
        Of the noises.

    Raises
    ------
    ShapeError
        If there are not two counterfactuals per prompt.
    """
    if len(counterfactuals) != len(DIRECTIONS) or counterfactuals.shape[1] != len(target):
        raise ShapeError(
            f"counterfactuals have shape {tuple(counterfactuals.shape)} for {len(target)} prompts; "
            f"needed ({len(DIRECTIONS)}, {len(target)}, n_tokens, n_features)"
        )
    noise, last = first_noises(pipeline, counterfactuals, n_noises=n_noises, seed=seed)
    rows = torch.arange(len(target)).repeat_interleave(n_noises)

    def predict(states: torch.Tensor) -> torch.Tensor:
        parts = [
            pipeline.unet(
                noise[part % n_noises], last, encoder_hidden_states=states[rows[part]]
            ).sample
            for part in torch.arange(len(rows)).split(_BATCH)
        ]
        return torch.cat(parts).reshape(len(target), -1).double()

    first, second = predict(counterfactuals[0]), predict(counterfactuals[1])
    difference = first - second
    squared = difference.square().sum(dim=1)

    def share(weights: torch.Tensor) -> torch.Tensor:
        return ((predict(states_at(weights)) - second) * difference).sum(dim=1) / squared

    wanted = torch.as_tensor(target, dtype=torch.float64).to(squared)
    before = share(torch.zeros(len(target), 2))
    is_first = before < wanted
    chosen = torch.stack([is_first, ~is_first], dim=1).float().cpu()
    low, high = torch.zeros(len(target)), torch.full((len(target),), MAX_STRENGTH)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        reached = share(chosen * middle[:, None])
        is_beyond = torch.where(is_first, reached > wanted, reached < wanted).cpu()
        high = torch.where(is_beyond, middle, high)
        low = torch.where(is_beyond, low, middle)
    weights = chosen * ((low + high) / 2)[:, None]
    return Strengths(weights, before.cpu().numpy(), share(weights).cpu().numpy())


class CalibratedRouting(Intervention):
    """Apply to each prompt the expert of the value it lacks, at the calibrated strength.

    The strength is computed once per prompt (see `calibrate_strengths`). Closed prompts are left
    unchanged, bit for bit.

    Parameters
    ----------
    correction : Correction
    pipeline : StableDiffusionPipeline
    counterfactuals : Counterfactuals
        One word per expert.
    targets : callable
        Called with open prompts.
    guidance_scale : float
        Guidance scale of the images, at which the target is met.
    """

    def __init__(
        self,
        correction: Correction,
        pipeline: Any,
        counterfactuals: Counterfactuals,
        targets: Targets,
        *,
        guidance_scale: float,
    ) -> None:
        counterfactuals.check_one_per_expert()
        self._correction, self._pipeline = correction, pipeline
        self._counterfactuals, self._targets = counterfactuals, targets
        self._guidance_scale = guidance_scale
        self._known: dict[str, torch.Tensor] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts that open the gate."""
        opened = set(self._correction.opened(list(dict.fromkeys(prompts))))
        return [Condition(prompt, ROUTE if prompt in opened else "") for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Replace the states of open prompts by the calibrated ones."""
        rows = [row for row, condition in enumerate(conditions) if condition.route]
        if not rows:
            return states
        corrected = states.clone()
        found = [self._calibrated_states(conditions[row].prompt) for row in rows]
        corrected[rows] = torch.stack(found).to(states)
        return corrected

    @torch.no_grad()
    def _calibrated_states(self, prompt: str) -> torch.Tensor:
        if prompt not in self._known:
            correction = self._correction
            marked = correction.token.encode(correction.encoder, [prompt])
            counterfactuals = self._counterfactuals.states(
                correction.encoder, correction.token, [prompt]
            )

            def states_at(weights: torch.Tensor) -> torch.Tensor:
                return correction.experts.mix(marked, weights.to(marked))

            target = unguided(np.asarray(self._targets([prompt])), self._guidance_scale)
            found = calibrate_strengths(self._pipeline, states_at, counterfactuals, target[:, 0])
            self._known[prompt] = states_at(found.weights)[0]
        return self._known[prompt]
