"""Shares of an attribute's values under a prompt, estimated from the denoiser without an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probe.arrays import Double
from probe.errors import ShapeError
from probe.images.denoising import fitting_batch
from probe.images.models.conditions import Conditions
from probe.images.models.model import ImageModel

MAX_STRENGTH = 2.0
"""Greatest weight of an expert that `calibrate_strengths` uses."""
_N_HALVINGS = 8
_BATCH = 64  # predictions computed at a time
_N_NOISES = 4  # at which a strength is calibrated, the same for all prompts
_CALIBRATION_BATCH = 16


@dataclass(frozen=True, eq=False)
class EstimatedShares:
    """Shares of the values under each prompt, without guidance."""

    shares: Double
    """Shape (n_prompts, K), rows of sum 1."""
    explained: Double
    """Shape (n_prompts,): R^2 of the mixture, i.e. the share of the neutral prediction's squared
    distance from the counterfactuals' mean that it explains. 0: the shares mean nothing."""
    sensitivity: Double
    """Shape (n_prompts,): root mean square distance between the counterfactuals' predictions. 0:
    the counterfactuals have no effect, and the shares are undefined."""


@torch.no_grad()
def estimate_shares(
    model: ImageModel,
    given: Conditions,
    counterfactuals: Sequence[Conditions],
    *,
    n_noises: int = 16,
    seed: int = 0,
) -> EstimatedShares:
    """Estimate how the images of each prompt divide into the values of an attribute.

    A denoiser predicts an expectation. Under a prompt that leaves the value open it is therefore a
    mixture of the predictions under the counterfactuals, ``v = sum_k w_k v_k + rest``, and at pure
    noise, which carries no information yet, the weights are the prompt's shares. They are fitted by
    least squares over all noises (see `mixture_weights`), from K + 1 predictions per prompt and
    noise.

    Parameters
    ----------
    model : ImageModel
    given : Conditions
        Of prompts that leave the value open.
    counterfactuals : sequence of Conditions
        Of their counterfactuals, for each value.
    n_noises : int
        Noises per prompt, the same for all prompts.
    """
    _check_numbers(counterfactuals, n_values=2, n_prompts=len(given), is_least=True)
    noise = _first_noises(model, given, n_noises=n_noises, seed=seed)

    def predict(one: Conditions) -> torch.Tensor:
        parts = noise.split(min(_BATCH, fitting_batch(model)))
        return torch.cat([_predicted(model, part, one.expand(len(part))) for part in parts])

    rows = []
    for row in range(len(given)):
        predictions = [predict(of[row : row + 1]) for of in (given, *counterfactuals)]
        rows.append(_fit(predictions[0], torch.stack(predictions[1:])))
    return EstimatedShares(*(np.stack(column) for column in zip(*rows, strict=True)))


@torch.no_grad()
def calibrate_strengths(
    model: ImageModel,
    given_at: Callable[[torch.Tensor], Conditions],
    counterfactuals: Sequence[Conditions],
    target: Double,
) -> torch.Tensor:
    """Find the strengths of experts at which the denoiser predicts the wanted shares.

    At pure noise the share of the first value is ``<v - v_2, v_1 - v_2> / |v_1 - v_2|^2``. It
    increases with the strength of the expert of the first value, so the strength is bisected
    between 0 and `MAX_STRENGTH`; if that does not suffice, it is used. This takes 11 predictions
    per prompt and noise.

    Parameters
    ----------
    model : ImageModel
    given_at : callable
        Weights of shape (n_prompts, 2) -> conditions of the prompts.
    counterfactuals : two Conditions
        Of each prompt's counterfactuals.
    target : ndarray of shape (n_prompts,)
        Wanted shares of the first value, without guidance.

    Returns
    -------
    Tensor of shape (n_prompts, 2)
        Weights of the experts of the two values; one of each row is 0.
    """
    _check_numbers(counterfactuals, n_values=2, n_prompts=len(target))
    noise = _first_noises(model, counterfactuals[0], n_noises=_N_NOISES, seed=0)
    rows = torch.arange(len(target)).repeat_interleave(_N_NOISES)
    n_together = min(_CALIBRATION_BATCH, fitting_batch(model))

    def predict(given: Conditions) -> torch.Tensor:
        parts = [
            _predicted(model, noise[part % _N_NOISES], given[rows[part]])
            for part in torch.arange(len(rows)).split(n_together)
        ]
        return torch.cat(parts).reshape(len(target), -1).cpu().double()  # MPS has no float64

    first, second = predict(counterfactuals[0]), predict(counterfactuals[1])
    difference = first - second
    squared = difference.square().sum(dim=1)

    def share(weights: torch.Tensor) -> torch.Tensor:
        return ((predict(given_at(weights)) - second) * difference).sum(dim=1) / squared

    wanted = torch.as_tensor(target, dtype=torch.float64).to(squared)
    is_first = share(torch.zeros(len(target), 2)) < wanted
    chosen = torch.stack([is_first, ~is_first], dim=1).float()
    low, high = torch.zeros(len(target)), torch.full((len(target),), MAX_STRENGTH)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        reached = share(chosen * middle[:, None])
        is_beyond = torch.where(is_first, reached > wanted, reached < wanted)
        high = torch.where(is_beyond, middle, high)
        low = torch.where(is_beyond, low, middle)
    return chosen * ((low + high) / 2)[:, None]


def mixture_weights(mixture: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """Fit mixture weights by least squares on the simplex.

    ``argmin |mixture - sum_k w_k parts_k|^2`` with ``sum_k w_k = 1``, then the nearest point of the
    simplex. For two parts, ``w_1 = <m - p_2, p_1 - p_2> / |p_1 - p_2|^2``, clipped to [0, 1].

    Parameters
    ----------
    mixture : Tensor of shape (n_rows, n)
    parts : Tensor of shape (K, n_rows, n)

    Returns
    -------
    Tensor of shape (n_rows, K)
        Equal weights where all parts are equal.

    References
    ----------
    Duchi et al., *Efficient projections onto the l1-ball*, ICML 2008 (the projection).
    """
    differences = (parts[:-1] - parts[-1]).movedim(0, 1)  # (n_rows, K - 1, n)
    gram = differences @ differences.mT
    right = (differences @ (mixture - parts[-1]).unsqueeze(-1)).squeeze(-1)
    found = (torch.linalg.pinv(gram, hermitian=True) @ right.unsqueeze(-1)).squeeze(-1)
    weights = torch.cat([found, 1 - found.sum(dim=1, keepdim=True)], dim=1)
    alike = (gram.diagonal(dim1=1, dim2=2) == 0).all(dim=1, keepdim=True)
    return torch.where(alike, torch.full_like(weights, 1 / len(parts)), _on_simplex(weights))


def _on_simplex(weights: torch.Tensor) -> torch.Tensor:
    ranked = weights.sort(dim=1, descending=True).values
    excess = ranked.cumsum(dim=1) - 1
    counts = torch.arange(1, weights.shape[1] + 1, device=weights.device)
    n_kept = (ranked * counts > excess).sum(dim=1, keepdim=True)
    threshold = excess.gather(1, n_kept - 1) / n_kept
    return (weights - threshold).clamp(min=0)


def _first_noises(model: ImageModel, like: Conditions, *, n_noises: int, seed: int) -> torch.Tensor:
    """Draw pure noise, (n_noises, channels, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((n_noises, *model.latent_shape), generator=generator)
    return noise.to(like.tensors["prompt_embeds"])


def _predicted(model: ImageModel, noise: torch.Tensor, given: Conditions) -> torch.Tensor:
    """Let the denoiser predict at the time of pure noise."""
    times = torch.full((len(noise),), model.schedule.last, device=noise.device)
    return model.predict(noise, times, given)


def _check_numbers(
    counterfactuals: Sequence[Conditions], *, n_values: int, n_prompts: int, is_least: bool = False
) -> None:
    counted = [len(of) for of in counterfactuals]
    is_enough = len(counted) >= n_values if is_least else len(counted) == n_values
    if not is_enough or set(counted) != {n_prompts}:
        raise ShapeError(
            f"counterfactuals are of {counted} prompts, by value; needed {n_prompts} of each of "
            f"{n_values}{' or more' if is_least else ''} values"
        )


def _fit(mixture: torch.Tensor, parts: torch.Tensor) -> tuple[Double, Double, Double]:
    """Fit one prompt over all noises: weights, R^2 and distance of the parts."""
    mixture, parts = mixture.cpu().double(), parts.cpu().double()
    flat, of_parts = mixture.flatten()[None], parts.flatten(1)[:, None]
    weights = mixture_weights(flat, of_parts)  # (1, K)
    center = of_parts.mean(dim=0)
    rest = flat - torch.einsum("rk,krn->rn", weights, of_parts)
    around = (flat - center).square().sum()
    explained = 1 - rest.square().sum() / around if around > 0 else torch.zeros(())
    spread = (of_parts - center).square().mean().sqrt()
    return (
        weights[0].cpu().numpy(),
        explained.clamp(0, 1).cpu().numpy(),
        (2 * spread).cpu().numpy(),
    )
