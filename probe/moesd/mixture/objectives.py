"""Objectives that train each expert to produce one value of the attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.trajectories import Trajectories

if TYPE_CHECKING:
    from probe.moesd.model import MoESD


class CounterfactualStates:
    """Bring the corrected states to those of the counterfactual, token by token; no image model.

    ``mean_k |E_k(x) - x_k|^2 / |x - x_k|^2``, with x the states of the neutral prompt marked with
    the special token, x_k those of its counterfactual (the word of value k where the token stands)
    and E_k the expert. 1: as far off as without an expert; 0: each expert says its value.

    Parameters
    ----------
    moesd : MoESD
        Token and experts are trained.
    prompts : sequence of str
        Prompts of training occupations that say no gender, skewed or not.
    counterfactuals : Counterfactuals
        One word an expert, in the order of `probe.moesd.experts.DIRECTIONS`.
    """

    name = "counterfactual states"
    pace = 5.0  # regression on fixed targets bears longer steps than the other objectives

    def __init__(
        self, moesd: MoESD, prompts: Sequence[str], counterfactuals: Counterfactuals
    ) -> None:
        self._moesd = moesd
        self._ids, self._places = moesd.token.input_ids(moesd.encoder, prompts)
        self._targets = counterfactual_states(moesd, prompts, counterfactuals)
        moesd.token.vector.requires_grad_(True)
        self.parameters = [moesd.token.vector, *moesd.experts.parameters()]
        with torch.no_grad():
            plain = moesd.token.states(moesd.encoder, self._ids, self._places)
            self._scales = (plain - self._targets).square().mean(dim=(1, 2, 3))  # (K,)

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        moesd = self._moesd
        states = moesd.token.states(moesd.encoder, self._ids, self._places)
        left = [
            functional.mse_loss(adapter(states), target) / scale
            for adapter, target, scale in zip(
                moesd.experts.adapters.values(), self._targets, self._scales, strict=True
            )
        ]
        return torch.stack(left).mean()


class CounterfactualPredictions:
    """Match the denoiser's predictions for corrected prompts to those for the counterfactuals.

    ``mean |v(x_t, E_k(x)) - v(x_t, x_k)|^2``: distillation through the frozen image model. No
    picture is needed: the latents x_t are those that the image model itself passes through
    when it draws the counterfactual (`Trajectories`), from pure noise down to where gender is
    decided.

    Parameters
    ----------
    moesd : MoESD
        Experts are trained; the token stays.
    prompts : sequence of str
        As for `CounterfactualStates`.
    counterfactuals : Counterfactuals
    pipeline : StableDiffusionPipeline
        Its ``unet`` and ``scheduler`` are used as they are.
    n_prompts : int
        Number of trajectories, each of one prompt and one value.
    batch_size : int
        Latents in a step.
    seed : int
        Of prompts and noise.
    """

    name = "counterfactual predictions"
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
        rng = torch.Generator().manual_seed(seed)
        said = counterfactual_states(moesd, prompts, counterfactuals).flatten(
            0, 1
        )  # (K * n_prompts, ...)
        chosen = torch.randint(len(said), (n_prompts,), generator=rng)
        self._bank = Trajectories.follow(pipeline, said, chosen, seed=seed)
        self.rng = rng
        self.parameters = list(moesd.experts.parameters())

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._bank.draw(self._batch_size, self.rng)

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        latents, times, rows, target = self._bank.draw(self._batch_size, self.rng)
        value, prompt = rows // len(self._states), rows % len(self._states)
        states = self._experts(self._states[prompt], value == 1)
        predicted = self._unet(latents, times, encoder_hidden_states=states).sample
        return functional.mse_loss(predicted, target)


@torch.no_grad()
def marked_states(moesd: MoESD, prompts: Sequence[str]) -> torch.Tensor:
    """Encode prompts marked with the token, which is not trained from here on.

    Returns
    -------
    Tensor of shape (n_prompts, n_tokens, n_features)
    """
    moesd.token.vector.requires_grad_(False)
    ids, places = moesd.token.input_ids(moesd.encoder, prompts)
    return moesd.token.states(moesd.encoder, ids, places)


def counterfactual_states(
    moesd: MoESD, prompts: Sequence[str], counterfactuals: Counterfactuals
) -> torch.Tensor:
    """Encode the counterfactuals of prompts, aligned with the prompts that the token marks.

    Where a word has several tokens, its last stands where the special token does.

    Returns
    -------
    Tensor of shape (K, n_prompts, n_tokens, n_features)

    Raises
    ------
    ValueError
        If there is not one word an expert.
    """
    if len(counterfactuals.words) != len(DIRECTIONS):
        raise ValueError(
            f"counterfactuals say {list(counterfactuals.words)} but the experts are "
            f"{list(DIRECTIONS)}; needed one word an expert"
        )
    encoder, token = moesd.encoder, moesd.token
    _, places = token.input_ids(encoder, prompts)
    said = list(zip(*(counterfactuals.of(prompt, token) for prompt in prompts), strict=True))
    targets = []
    for word, of_word in zip(counterfactuals.words, said, strict=True):
        states = encoder.states(list(of_word))
        n_more = len(encoder.tokenizer(word, add_special_tokens=False).input_ids) - 1
        position = torch.arange(states.shape[1])
        source = position + n_more * (position >= places[:, None])
        source = source.clamp(max=states.shape[1] - 1).to(states.device)
        targets.append(states.gather(1, source.unsqueeze(2).expand_as(states)))
    return torch.stack(targets)
