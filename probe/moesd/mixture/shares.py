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
"""Greatest weight of an expert that `calibrate_weights` uses."""
_N_STEPS = 8  # of its solver
_FIRST_STEP = 0.25  # of a weight, for its slope
_OF_WEIGHTS = 0.02  # of a weight, beside a share's distance from its target
_BATCH = 64  # predictions computed at a time
_N_NOISES = 4  # at which weights are calibrated, the same for all prompts
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
def calibrate_weights(
    model: ImageModel,
    given_at: Callable[[Double], Conditions],
    counterfactuals: Sequence[Conditions],
    target: Double,
) -> Double:
    """Find the weights of K experts at which the denoiser predicts the wanted shares of a prompt.

    The shares at pure noise are those of `estimate_shares`, but not projected onto the simplex, so
    that they change with the weights. The weights, from 0 to `MAX_STRENGTH`, minimise their squared
    distance from the target, and of equally good ones the least are taken. The Jacobian is that of
    finite differences at 0, brought up to date by Broyden's rule at each step: 2K predictions and
    at most `_N_STEPS` more, for each noise.

    Parameters
    ----------
    model : ImageModel
    given_at : callable
        Weights of shape (n, K) -> conditions of the prompt, n rows.
    counterfactuals : sequence of K Conditions
        Of the prompt's counterfactuals, one row each.
    target : ndarray of shape (K,)
        Wanted shares, without guidance.

    Returns
    -------
    ndarray of shape (K,)
        Where the target is out of reach: those that come nearest to it.

    References
    ----------
    Broyden, *A class of methods for solving nonlinear simultaneous equations*, Mathematics of
    Computation 1965.
    """
    from scipy.optimize import least_squares

    _check_numbers(counterfactuals, n_values=len(target), n_prompts=1)
    noise = _first_noises(model, counterfactuals[0], n_noises=_N_NOISES, seed=0)
    n_together = min(_CALIBRATION_BATCH, fitting_batch(model))

    def predict(given: Conditions) -> torch.Tensor:
        rows = torch.arange(len(given)).repeat_interleave(_N_NOISES)
        parts = [
            _predicted(model, noise[part % _N_NOISES], given[rows[part]])
            for part in torch.arange(len(rows)).split(n_together)
        ]
        return torch.cat(parts).reshape(len(given), -1).cpu().double()  # MPS has no float64

    of_values = torch.cat([predict(of) for of in counterfactuals])[:, None]

    def shares(weights: Double) -> Double:
        found: Double = _fitted(predict(given_at(weights)), of_values)[0].numpy()
        return found

    at, start = np.zeros(len(target)), np.eye(len(target)) * _FIRST_STEP
    known, *moved = shares(np.vstack([at, start]))
    jacobian = (np.stack(moved, axis=1) - known[:, None]) / _FIRST_STEP
    last = at, known

    def off(weights: Double) -> Double:
        nonlocal at, known
        if (weights != at).any():
            at, known = weights.copy(), shares(weights[None])[0]
        return np.append(known - target, _OF_WEIGHTS * weights)

    def slopes(weights: Double) -> Double:
        nonlocal jacobian, last
        step, moved = at - last[0], known - last[1]
        if squared := step @ step:
            jacobian = jacobian + np.outer(moved - jacobian @ step, step) / squared
        last = at, known
        return np.vstack([jacobian, _OF_WEIGHTS * np.eye(len(target))])

    bounds, start = (0, MAX_STRENGTH), np.zeros(len(target))
    found = least_squares(off, start, slopes, bounds, method="dogbox", max_nfev=_N_STEPS)
    weights: Double = found.x
    return weights


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
    weights, are_alike = _fitted(mixture, parts)
    return torch.where(are_alike, torch.full_like(weights, 1 / len(parts)), _on_simplex(weights))


def _fitted(mixture: torch.Tensor, parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit weights of sum 1, which may be negative; and whether all parts are alike, (n_rows, 1)."""
    differences = (parts[:-1] - parts[-1]).movedim(0, 1)  # (n_rows, K - 1, n)
    gram = differences @ differences.mT
    right = (differences @ (mixture - parts[-1]).unsqueeze(-1)).squeeze(-1)
    found = (torch.linalg.pinv(gram, hermitian=True) @ right.unsqueeze(-1)).squeeze(-1)
    weights = torch.cat([found, 1 - found.sum(dim=1, keepdim=True)], dim=1)
    return weights, (gram.diagonal(dim1=1, dim2=2) == 0).all(dim=1, keepdim=True)


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
