"""Reweighting: change the mixture that the denoiser predicts, step by step, without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from probe.arrays import Double
from probe.images.intervention import Condition, Intervention
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import mixture_weights, read_shares

if TYPE_CHECKING:
    from probe.moesd.model import MoESD


ROUTE = "reweighted"
LOW_NOISE = 0.3
"""Below this share of the schedule the value is decided, and the prediction stays as it is."""
_LEAST = 0.01


def reweigh(weights: torch.Tensor, prior: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Change what a posterior would have been had the prior been another.

    ``w'_k ~ w_k t_k / q_k``: the likelihood, which the latents have spoken, stays.

    Parameters
    ----------
    weights : Tensor of shape (n_rows, K)
        Posterior weights, of sum 1.
    prior, target : Tensors of shape (n_rows, K) or (K,)
        The shares that the weights came from, which are positive, and those that are wanted.

    Returns
    -------
    Tensor of shape (n_rows, K)
        Of sum 1; ``weights`` where prior and target are equal.
    """
    changed = weights * target / prior
    return changed / changed.sum(dim=1, keepdim=True)


def reweigh_prediction(
    predicted: torch.Tensor, said: torch.Tensor, prior: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """Change a denoiser's prediction to what it would have been had the prior been another.

    ``v + sum_k (w'_k - w_k) v_k``, with w the weights of the counterfactuals' predictions in v by
    least squares and w' those of `reweigh`. What the counterfactuals do not explain stays.

    Parameters
    ----------
    predicted : Tensor of shape (n_rows, channels, height, width)
        v, under prompts that leave the value open.
    said : Tensor of shape (K, n_rows, channels, height, width)
        The predictions for the same latents under the counterfactuals of each prompt.
    prior, target : Tensors of shape (n_rows, K) and (K,)
        Shares of the values without correction, and those that are wanted.

    Returns
    -------
    Tensor of shape (n_rows, channels, height, width)
    """
    found = mixture_weights(predicted.flatten(1).double(), said.flatten(2).double())
    posterior = _unsure(found)
    wanted = reweigh(posterior, _unsure(prior.to(found)), target.to(found))
    change = (wanted - posterior).to(said)
    return predicted + torch.einsum("rk,krchw->rchw", change, said)


@contextmanager
def reweighted(
    unet: Any,
    rows: Sequence[int],
    counterfactuals: torch.Tensor,
    prior: torch.Tensor,
    target: torch.Tensor,
    *,
    end: float,
) -> Iterator[None]:
    """Reweigh what a denoiser predicts for some rows of every batch, counted from its end.

    Parameters
    ----------
    unet : Module
        Called with (latents, time step, ``encoder_hidden_states``); its output's first item is
        the prediction. The hook is removed whatever happens.
    rows : sequence of int
        Rows of the pictures, negative: with guidance the promptless half comes first.
    counterfactuals : Tensor of shape (K, n_rows, n_tokens, n_features)
        States of each row's counterfactuals.
    prior, target : Tensors of shape (n_rows, K) and (K,)
        Shares of the values without correction, and those that are wanted.
    end : float
        Time step below which predictions stay as they are.
    """

    def move(unet: Any, args: Any, kwargs: Any, output: Any) -> Any:
        latents, time = args[0], args[1]
        if time < end:
            return None
        parts = [
            unet.forward(latents[rows], time, encoder_hidden_states=states, return_dict=False)[0]
            for states in counterfactuals.to(latents)
        ]
        predicted = output[0].clone()
        predicted[rows] = reweigh_prediction(predicted[rows], torch.stack(parts), prior, target)
        return (predicted, *output[1:])

    handle = unet.register_forward_hook(move, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _unsure(shares: torch.Tensor) -> torch.Tensor:
    """Lift shares near 0, whose odds could not be changed: a fit is never that sure."""
    lifted = shares.clamp(min=_LEAST)
    return lifted / lifted.sum(dim=1, keepdim=True)


class Reweighting(Intervention):
    """Turn the mixture under a neutral prompt into the one that the target asks for.

    At each step the weights of the counterfactuals' predictions in the neutral one are found by
    least squares, divided by the prompt's shares (see `probe.moesd.mixture.shares`), multiplied by
    the target's, and the prediction moved by the difference: ``v + sum_k (w'_k - w_k) v_k``. What
    the counterfactuals do not explain stays. It costs K more predictions a step, down to
    `LOW_NOISE`.

    Parameters
    ----------
    moesd : MoESD
        Its gate says which prompts are reweighted; its experts are not asked.
    counterfactuals : Counterfactuals
        They say each value.
    target : ndarray of shape (K,)
        Shares that are asked for, of sum 1.
    n_noises : int
        Noises that a prompt's shares are read off from.

    References
    ----------
    Elkan, *The foundations of cost-sensitive learning*, IJCAI 2001, theorem 2 (change of the base
    rate of a posterior). Its use on a denoiser's mixture is ours; see docs/mixture.md.
    """

    def __init__(
        self, moesd: MoESD, counterfactuals: Counterfactuals, target: Double, *, n_noises: int = 16
    ) -> None:
        if len(target) != len(counterfactuals.words):
            raise ValueError(
                f"the target has {len(target)} shares and the counterfactuals say "
                f"{list(counterfactuals.words)}; needed one share a word"
            )
        self._moesd, self._counterfactuals, self._n_noises = moesd, counterfactuals, n_noises
        self._target = torch.as_tensor(target, dtype=torch.float64)
        self._known: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts for which the gate opens."""
        opened = set(self._moesd.opened(list(dict.fromkeys(prompts))))
        return [Condition(prompt, ROUTE if prompt in opened else "") for prompt in prompts]

    def signature(self, condition: Condition) -> str:
        """Every setting, for the prompts that are reweighted."""
        if not condition.route:
            return ""
        words, shares = " ".join(self._counterfactuals.words), self._target.tolist()
        return f"{ROUTE} {words} to {shares} above {LOW_NOISE} n={self._n_noises}"

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Reweigh the batch's opened prompts; see `reweighted`."""
        sent = [row for row, condition in enumerate(conditions) if condition.route]
        if not sent:
            yield
            return
        known = [self._of_prompt(pipeline, conditions[row].prompt) for row in sent]
        counterfactuals = torch.stack([states for states, _ in known], dim=1)  # (K, n_sent, ...)
        prior = torch.stack([shares for _, shares in known])  # (n_sent, K)
        with reweighted(
            pipeline.unet,
            [row - len(conditions) for row in sent],
            counterfactuals,
            prior,
            self._target,
            end=LOW_NOISE * pipeline.scheduler.config.num_train_timesteps,
        ):
            yield

    def _of_prompt(self, pipeline: Any, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return counterfactual states and uncorrected shares, computed once a prompt."""
        if prompt not in self._known:
            encoder = self._moesd.encoder
            states = encoder.states(list(self._counterfactuals.of(prompt, self._moesd.token)))
            read = read_shares(
                pipeline, encoder.states([prompt]), states[:, None], n_noises=self._n_noises
            )
            self._known[prompt] = states, torch.from_numpy(read.shares[0])
        return self._known[prompt]
