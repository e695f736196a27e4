"""Measured routing: each prompt's expert is as strong as the denoiser says it must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probe.arrays import Double
from probe.errors import ShapeError
from probe.images.intervention import Condition, Intervention
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import first_noises, unguided

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

Ask = Callable[[Sequence[str]], Sequence[Double]]
"""Prompts -> for each the shares of the values that are asked for."""

ROUTE = "calibrated"
TOP = 2.0
"""The greatest strength: an expert is at most doubled."""
_N_HALVINGS = 8
_BATCH = 16  # predictions computed at a time


@dataclass(frozen=True, eq=False)
class Strengths:
    """How strong each prompt's experts must be, and what they reach."""

    weights: torch.Tensor
    """Shape (n_prompts, 2), of the experts in the order of `DIRECTIONS`; one of a row is 0."""
    before: Double
    """Shape (n_prompts,): share of the first value without an expert, as the denoiser says it."""
    after: Double
    """Shape (n_prompts,): likewise with the experts at these weights."""


@torch.no_grad()
def find_strengths(
    pipeline: Any,
    move: Callable[[torch.Tensor], torch.Tensor],
    counterfactuals: torch.Tensor,
    target: Double,
    *,
    n_noises: int = 4,
    seed: int = 0,
) -> Strengths:
    """Find the strength at which the denoiser says the share that is asked for.

    At pure noise the share of the first value is ``<v - v_2, v_1 - v_2> / |v_1 - v_2|^2`` (see
    `probe.moesd.mixture.shares`). It grows with the strength of the expert that brings the value,
    so the strength is bracketed from 0 to `TOP` and halved. Where even `TOP` falls short, it stays
    there: ``after`` says so. It takes 12 predictions a prompt and noise, whatever is drawn then.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used.
    move : callable
        Weights of shape (n_prompts, 2) -> states of shape (n_prompts, n_tokens, n_features).
    counterfactuals : Tensor of shape (2, n_prompts, n_tokens, n_features)
        States of each prompt's counterfactuals.
    target : ndarray of shape (n_prompts,)
        Shares of the first value, without guidance.
    n_noises : int
        Noises that a share is read off from; the same for all prompts.
    seed : int
        Of the noises.

    Raises
    ------
    ShapeError
        If there are not two counterfactuals a prompt.
    """
    if len(counterfactuals) != len(DIRECTIONS) or counterfactuals.shape[1] != len(target):
        raise ShapeError(
            f"counterfactuals have shape {tuple(counterfactuals.shape)} for {len(target)} prompts; "
            f"needed ({len(DIRECTIONS)}, {len(target)}, n_tokens, n_features)"
        )
    noise, last = first_noises(pipeline, counterfactuals, n_noises=n_noises, seed=seed)

    rows = torch.arange(len(target)).repeat_interleave(n_noises)

    def said(states: torch.Tensor) -> torch.Tensor:
        parts = [
            pipeline.unet(
                noise[part % n_noises], last, encoder_hidden_states=states[rows[part]]
            ).sample
            for part in torch.arange(len(rows)).split(_BATCH)
        ]
        return torch.cat(parts).reshape(len(target), -1).double()

    first, second = said(counterfactuals[0]), said(counterfactuals[1])
    apart = first - second
    size = apart.square().sum(dim=1)

    def share(weights: torch.Tensor) -> torch.Tensor:
        return ((said(move(weights)) - second) * apart).sum(dim=1) / size

    wanted = torch.as_tensor(target, dtype=torch.float64).to(size)
    before = share(torch.zeros(len(target), 2))
    brings_first = before < wanted
    on = torch.stack([brings_first, ~brings_first], dim=1).float().cpu()
    low, high = torch.zeros(len(target)), torch.full((len(target),), TOP)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        reached = share(on * middle[:, None])
        is_beyond = torch.where(brings_first, reached > wanted, reached < wanted).cpu()
        high = torch.where(is_beyond, middle, high)
        low = torch.where(is_beyond, low, middle)
    weights = on * ((low + high) / 2)[:, None]
    return Strengths(weights, before.cpu().numpy(), share(weights).cpu().numpy())


class MeasuredRouting(Intervention):
    """Send each prompt to one expert, as strongly as the denoiser says that it must be moved.

    The expert is the one that brings the value which the prompt lacks, at the weight of
    `find_strengths`. That is read off once a prompt; pictures then cost what they always do.
    Prompts that the gate leaves alone stay as they are bit for bit.

    Parameters
    ----------
    moesd : MoESD
        Its gate opens prompts; its experts move their states.
    pipeline : StableDiffusionPipeline
    counterfactuals : Counterfactuals
        One word an expert.
    ask : callable
        Called with the prompts that are open.
    guidance_scale : float
        That of the pictures; the target is met with it.
    """

    def __init__(
        self,
        moesd: MoESD,
        pipeline: Any,
        counterfactuals: Counterfactuals,
        ask: Ask,
        *,
        guidance_scale: float,
    ) -> None:
        if len(counterfactuals.words) != len(DIRECTIONS):
            raise ValueError(
                f"counterfactuals say {list(counterfactuals.words)} but the experts are "
                f"{list(DIRECTIONS)}; needed one word an expert"
            )
        self._moesd, self._pipeline, self._counterfactuals, self._ask = (
            moesd,
            pipeline,
            counterfactuals,
            ask,
        )
        self._guidance = guidance_scale
        self._known: dict[str, torch.Tensor] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts for which the gate opens."""
        opened = set(self._moesd.opened(list(dict.fromkeys(prompts))))
        return [Condition(prompt, ROUTE if prompt in opened else "") for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Send the states of opened prompts; each prompt's strength is found once."""
        sent = [row for row, condition in enumerate(conditions) if condition.route]
        if not sent:
            return states
        prompts = [conditions[row].prompt for row in sent]
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._known:
                self._known[prompt] = self._moved(prompt)
        corrected = states.clone()
        corrected[sent] = torch.stack([self._known[prompt] for prompt in prompts]).to(states)
        return corrected

    @torch.no_grad()
    def _moved(self, prompt: str) -> torch.Tensor:
        moesd = self._moesd
        marked = moesd.token.states(moesd.encoder, *moesd.token.input_ids(moesd.encoder, [prompt]))
        said = moesd.encoder.states(list(self._counterfactuals.of(prompt, moesd.token)))

        def move(weights: torch.Tensor) -> torch.Tensor:
            return moesd.experts.mix(marked, weights.to(marked))

        asked = unguided(np.asarray(self._ask([prompt])), self._guidance)
        found = find_strengths(self._pipeline, move, said[:, None], asked[:, 0])
        return move(found.weights)[0]
