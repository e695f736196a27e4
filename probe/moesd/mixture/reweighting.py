"""Reweighting: change the mixture in the denoiser's predictions at each step, without training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from probe.arrays import Double
from probe.images.intervention import Condition, Intervention
from probe.images.models.lookup import image_model
from probe.moesd.correction import Correction
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import estimate_shares, mixture_weights

ROUTE = "reweighted"
LOW_NOISE = 0.3
"""Below this share of the schedule the value is decided, and predictions are not changed."""
_LEAST = 0.01


def reweigh(weights: torch.Tensor, prior: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Change the prior of a posterior from q to t: ``w'_k ~ w_k t_k / q_k``, rows of sum 1."""
    changed = weights * target / prior
    return changed / changed.sum(dim=1, keepdim=True)


def reweigh_prediction(
    predicted: torch.Tensor,
    counterfactuals: torch.Tensor,
    prior: torch.Tensor,
    target: torch.Tensor,
) -> torch.Tensor:
    """Change a denoiser's prediction to that of a model with another prior.

    ``v + sum_k (w'_k - w_k) v_k``, with w the least-squares weights of the counterfactuals'
    predictions in v and w' those of `reweigh`. What the counterfactuals do not explain is kept.

    Parameters
    ----------
    predicted : Tensor of shape (n_rows, channels, height, width)
        v, under prompts that leave the value open.
    counterfactuals : Tensor of shape (K, n_rows, channels, height, width)
        v_k, for the same latents under each prompt's counterfactuals.
    prior, target : Tensors of shape (n_rows, K) and (K,)
        Shares of the values without correction, and wanted shares.
    """
    flat, of_values = predicted.flatten(1).cpu(), counterfactuals.flatten(2).cpu()
    found = mixture_weights(flat.double(), of_values.double())  # on the CPU: MPS has no float64
    posterior = _lifted(found)
    wanted = reweigh(posterior, _lifted(prior.to(found)), target.to(found))
    change = (wanted - posterior).to(counterfactuals)
    return predicted + torch.einsum("rk,krchw->rchw", change, counterfactuals)


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
    """Reweigh a denoiser's predictions for some rows of every batch, by a forward hook.

    Rows are negative: with guidance the unconditional half comes first. The states of each row's
    counterfactuals have shape (K, n_rows, n_tokens, n_features); prior and target are those of
    `reweigh_prediction`. Below the time step ``end`` predictions are not changed.
    """

    def reweigh_rows(unet: Any, args: Any, kwargs: Any, output: Any) -> Any:
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

    handle = unet.register_forward_hook(reweigh_rows, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


class Reweighting(Intervention):
    """Turn the mixture under a neutral prompt into one with the target's shares.

    At each step down to `LOW_NOISE` the prediction is changed by `reweigh_prediction`, which costs
    K more predictions. The correction's gate selects prompts; its experts are not used. The target
    has shape (K,); a prompt's shares are estimated from ``n_noises`` noises.

    References
    ----------
    Elkan, *The foundations of cost-sensitive learning*, IJCAI 2001, theorem 2 (change of the base
    rate of a posterior). Its use on a denoiser's mixture is ours; see docs/mixture.md, also for
    FairT2I (arXiv 2502.03826), which replaces the weights of the same decomposition.
    """

    def __init__(
        self,
        correction: Correction,
        counterfactuals: Counterfactuals,
        target: Double,
        *,
        n_noises: int = 16,
    ) -> None:
        if len(target) != len(counterfactuals.words):
            raise ValueError(
                f"the target has {len(target)} shares and the counterfactual words are "
                f"{list(counterfactuals.words)}; needed one share per word"
            )
        self._correction, self._counterfactuals = correction, counterfactuals
        self._n_noises = n_noises
        self._target = torch.as_tensor(target, dtype=torch.float64)
        self._known: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts that open the gate."""
        distinct = list(dict.fromkeys(prompts))
        opened = self._correction.opened(distinct, naming_a_person=True)
        return [Condition(prompt, ROUTE if prompt in opened else "") for prompt in prompts]

    def signature(self, condition: Condition) -> str:
        """Name every setting, for prompts that are reweighted."""
        if not condition.route:
            return ""
        words, shares = " ".join(self._counterfactuals.words), self._target.tolist()
        return f"{ROUTE} {words} to {shares} above {LOW_NOISE} n={self._n_noises}"

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Reweigh the open prompts of a batch; see `reweighted`."""
        rows = [row for row, condition in enumerate(conditions) if condition.route]
        if not rows:
            yield
            return
        known = [self._of_prompt(pipeline, conditions[row].prompt) for row in rows]
        with reweighted(
            pipeline.unet,
            [row - len(conditions) for row in rows],
            torch.cat([states for states, _ in known], dim=1),  # (K, n_rows, ...)
            torch.stack([shares for _, shares in known]),  # (n_rows, K)
            self._target,
            end=LOW_NOISE * pipeline.scheduler.config.num_train_timesteps,
        ):
            yield

    def _of_prompt(self, pipeline: Any, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a prompt's counterfactual states and uncorrected shares, computed once."""
        if prompt not in self._known:
            encoder, token = self._correction.encoder, self._correction.token
            states = self._counterfactuals.states(encoder, token, [prompt], are_people=True)
            model = image_model(pipeline)
            found = estimate_shares(
                model,
                model.conditions([prompt]),
                self._counterfactuals.conditions(model, token, [prompt], are_people=True),
                n_noises=self._n_noises,
            )
            self._known[prompt] = states, torch.from_numpy(found.shares[0])
        return self._known[prompt]


def _lifted(shares: torch.Tensor) -> torch.Tensor:
    """Raise shares near 0 to `_LEAST`: their odds could not be changed, and no fit is that sure."""
    lifted = shares.clamp(min=_LEAST)
    return lifted / lifted.sum(dim=1, keepdim=True)
