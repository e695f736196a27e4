"""Routing of images to experts: top1 and calibrated per prompt, stratified per image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from probe.arrays import Double, Indices
from probe.errors import OptionError, ShapeError
from probe.images.intervention import Condition, Intervention, StateCorrection
from probe.io.artifacts import hash_parts
from probe.moesd.correction import Correction
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import calibrate_strengths, unguided
from probe.moesd.unet_experts import RoutedUNet, UNetExperts

ByPrompt = Callable[[Sequence[str]], Sequence[Double]]
"""Prompts -> shares for each."""

_ROUTES = ("", *DIRECTIONS)  # the base model, then the experts
_GOLDEN = 0.6180339887498949  # the fraction whose multiples fill an interval most evenly


class Top1Routing(StateCorrection):
    """Correct the states, and pass each image through the U-Net experts of its prompt's route."""

    def __init__(self, correction: Correction, experts: UNetExperts) -> None:
        super().__init__(correction)
        self._correction, self._experts = correction, experts
        self._revision = experts.revision

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Give each image the route of its prompt, whatever its seed."""
        distinct = list(dict.fromkeys(prompts))
        routes = dict(zip(distinct, self._correction.routes(distinct), strict=True))
        return [Condition(prompt, routes[prompt]) for prompt in prompts]

    def signature(self, condition: Condition) -> str:
        """Name the experts' weights and the route."""
        return f"unet_experts={self._revision} {condition.route}" if condition.route else ""

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Insert the experts into the U-Net while a batch is denoised, if any image has a route."""
        routes = [condition.route for condition in conditions]
        if not any(routes):
            yield
            return
        with RoutedUNet(pipeline.unet, self._experts) as unet:
            unet.set_routes(routes)
            yield


class CalibratedRouting(Intervention):
    """Apply to each prompt the expert of the value it lacks, at the calibrated strength.

    The strength is computed once per prompt (see `calibrate_strengths`), so that the target is met
    at the guidance scale of the images. Closed prompts are left unchanged, bit for bit.

    Parameters
    ----------
    counterfactuals : Counterfactuals
        One word per expert.
    targets : callable
        Open prompts -> wanted shares of the values, shape (2,) each.
    """

    def __init__(
        self,
        correction: Correction,
        pipeline: Any,
        counterfactuals: Counterfactuals,
        targets: ByPrompt,
        *,
        guidance_scale: float,
    ) -> None:
        refuse_unet_experts(correction)
        counterfactuals.check_one_per_expert()
        self._correction, self._pipeline = correction, pipeline
        self._counterfactuals, self._targets = counterfactuals, targets
        self._guidance_scale = guidance_scale
        self._known: dict[str, torch.Tensor] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts that open the gate."""
        opened = set(self._correction.opened(list(dict.fromkeys(prompts))))
        return [Condition(prompt, "calibrated" if prompt in opened else "") for prompt in prompts]

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
            weights = calibrate_strengths(self._pipeline, states_at, counterfactuals, target[:, 0])
            self._known[prompt] = states_at(weights)[0]
        return self._known[prompt]


class StratifiedRouting(Intervention):
    """Let the gate select prompts, and each image's seed the expert.

    With top-1 routing one expert gets all images of a prompt and must shift their shares by the
    right amount; here it only has to produce its value, as the objective ``counterfactual`` trains
    it, and the shares follow from the allocation. Closed prompts, and images allocated to the base
    model, do not change by a bit.

    Parameters
    ----------
    allocate : callable
        Called once with all prompts that open the gate; for each it returns the shares of its
        images: the base model's, then each expert's.
    """

    def __init__(self, correction: Correction, allocate: ByPrompt) -> None:
        refuse_unet_experts(correction)
        self._correction, self._allocate = correction, allocate

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw each image's route; see `draw_stratified`."""
        opened = self._correction.opened(list(dict.fromkeys(prompts)))
        allocations = dict(zip(opened, self._allocate(opened), strict=True)) if opened else {}
        base_only = np.eye(len(_ROUTES))[0]
        shares = {prompt: allocations.get(prompt, base_only) for prompt in prompts}
        drawn = draw_stratified(prompts, seeds, shares)
        return [Condition(prompt, _ROUTES[i]) for prompt, i in zip(prompts, drawn, strict=True)]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Apply to each condition the expert of its route."""
        rows = [row for row, condition in enumerate(conditions) if condition.route]
        if not rows:
            return states
        prompts = [conditions[row].prompt for row in rows]
        experts = [DIRECTIONS.index(conditions[row].route) for row in rows]
        corrected = states.clone()
        encoded, _ = self._correction.encode_weighted(prompts, np.eye(len(DIRECTIONS))[experts])
        corrected[rows] = encoded.to(states)
        return corrected


class PartialCorrection(Intervention):
    """Interpolate between the states of the base model and of a correction: ``x + s (x' - x)``.

    Strength s is between 0 (base model) and 1 (``inner``, a correction that changes states only).
    """

    def __init__(self, inner: Intervention, strength: float) -> None:
        _check_strength(strength)
        self._inner, self._strength = inner, strength

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Return the conditions of the whole correction."""
        return self._inner.conditions(prompts, seeds)

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Interpolate the states."""
        corrected = self._inner.correct(conditions, states)
        # Rounding must not change the rows that `inner` leaves alone.
        is_kept = (corrected == states).flatten(1).all(dim=1)[:, None, None]
        return torch.where(is_kept, states, states + self._strength * (corrected - states))


def refuse_unet_experts(correction: Correction) -> None:
    """Refuse a correction whose U-Net experts a routing of states would ignore."""
    if correction.unet_experts is not None:
        raise OptionError(
            "the correction has experts in the U-Net, which only routing top1 at strength 1 uses; "
            "train with --side text for another routing or strength"
        )


def full_allocation(target: Double, *, strength: float = 1.0) -> Double:
    """Allocate a share s of a prompt's images to experts: ``(1 - s, s t_1, ..., s t_K)``.

    If each expert always produces its value, the resulting shares are ``(1 - s) q + s t``, whatever
    the base model's shares q. The target t has shape (K,) and sum 1.
    """
    _check_strength(strength)
    return np.concatenate([[1 - strength], strength * target])


def minimal_allocation(target: Double, base: Double, *, strength: float = 1.0) -> Double:
    """Allocate to experts only the images that the base model's shares q lack.

    The wanted shares are ``w = (1 - s) q + s t``. The base model keeps the largest part that
    exceeds no wanted share, ``u = min_k w_k / q_k``, and expert k produces ``w_k - u q_k``. For
    K = 2 only one expert gets images. An error in q enters the result times u.
    """
    _check_strength(strength)
    if target.shape != base.shape:
        raise ShapeError(
            f"the target has {target.size} shares and the base {base.size}; needed one per value"
        )
    wanted = (1 - strength) * base + strength * target
    is_drawn = base > 1e-9  # the inverse of a smaller share may be infinite
    kept = min(1.0, float((wanted[is_drawn] / base[is_drawn]).min()))
    of_experts = np.clip(wanted - kept * base, 0.0, None)
    # Rounding may make the experts' sum a little more than 1.
    return np.concatenate([[max(0.0, 1 - of_experts.sum())], of_experts])


def draw_stratified(
    prompts: Sequence[str], seeds: Sequence[int], shares: Mapping[str, Double]
) -> Indices:
    """Draw one of K strata for each image, such that a prompt's images meet the shares closely.

    The first image of a prompt draws a uniform number u_0 from its seed; image i gets the stratum
    whose part of [0, 1] contains ``frac(u_0 + i * 0.618...)``. A single image is a fair draw; the
    counts of n images deviate by O(log n) rather than ``sqrt(n w (1 - w))``. Later images do not
    change earlier ones, and equal prompt and seed give the same stratum.

    References
    ----------
    Niederreiter, *Random Number Generation and Quasi-Monte Carlo Methods*, SIAM 1992, chapter 3.
    """
    drawn: dict[tuple[str, int], int] = {}
    started: dict[str, tuple[float, int]] = {}
    for prompt, seed in zip(prompts, seeds, strict=True):
        if (prompt, seed) in drawn:
            continue
        first, count = started.get(prompt) or (_uniform(prompt, seed), 0)
        started[prompt] = first, count + 1
        number = (first + count * _GOLDEN) % 1.0
        edges = np.cumsum(shares[prompt])
        stratum = int(np.searchsorted(edges, number, side="right"))
        # Rounding may leave the last edge just below the number.
        drawn[prompt, seed] = min(stratum, int(np.flatnonzero(shares[prompt])[-1]))
    return np.array([drawn[key] for key in zip(prompts, seeds, strict=True)], dtype=np.intp)


def _check_strength(strength: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength is {strength}; needed a number from 0 to 1")


def _uniform(prompt: str, seed: int) -> float:
    """Draw a number from [0, 1), the same on every machine."""
    return int(hash_parts("way", prompt, str(int(seed)))[:8], 16) / 2**32
