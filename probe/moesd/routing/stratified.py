"""Stratified routing: each image's seed chooses its expert so that the shares meet a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from probe.arrays import Double, Indices
from probe.errors import ShapeError
from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts
from probe.moesd.correction import Correction
from probe.moesd.experts import DIRECTIONS
from probe.moesd.routing.strength import check_strength

Allocate = Callable[[Sequence[str]], Sequence[Double]]
"""Prompts -> for each the shares of its images: the base model's, then each expert's."""

ROUTES = ("", *DIRECTIONS)
"""The base model, then the experts."""
_GOLDEN = 0.6180339887498949  # the fraction whose multiples fill an interval most evenly


class StratifiedRouting(Intervention):
    """Let the gate select prompts, and each image's seed the expert.

    With top-1 routing one expert gets all images of a prompt and must shift their shares by the
    right amount; here it only has to produce its value, and the shares follow from the allocation.
    Closed prompts, and images allocated to the base model, do not change by a bit.

    Parameters
    ----------
    correction : Correction
        Each expert must produce one value, as the objective ``counterfactual`` trains it.
    allocate : callable
        Called once with all prompts that open the gate.
    """

    def __init__(self, correction: Correction, allocate: Allocate) -> None:
        self._correction, self._allocate = correction, allocate

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw each image's route; see `draw_stratified`."""
        opened = self._correction.opened(list(dict.fromkeys(prompts)))
        allocations = dict(zip(opened, self._allocate(opened), strict=True)) if opened else {}
        base_only = np.eye(len(ROUTES))[0]
        shares = {prompt: allocations.get(prompt, base_only) for prompt in prompts}
        drawn = draw_stratified(prompts, seeds, shares)
        return [Condition(prompt, ROUTES[i]) for prompt, i in zip(prompts, drawn, strict=True)]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Apply to each condition the expert of its route."""
        rows = [row for row, condition in enumerate(conditions) if condition.route]
        if not rows:
            return states
        toward_male = torch.tensor([conditions[row].route == DIRECTIONS[1] for row in rows])
        prompts = [conditions[row].prompt for row in rows]
        corrected = states.clone()
        corrected[rows] = self._correction.encode_toward(prompts, toward_male).to(states)
        return corrected


def full_allocation(target: Double, *, strength: float = 1.0) -> Double:
    """Allocate a share s of a prompt's images to experts: ``(1 - s, s t_1, ..., s t_K)``.

    If each expert always produces its value, the resulting shares are ``(1 - s) q + s t``, whatever
    the base model's shares q.

    Parameters
    ----------
    target : ndarray of shape (K,)
        Wanted shares t, of sum 1.
    strength : float, default=1.0
        s, from 0 (base model only) to 1.

    Returns
    -------
    ndarray of shape (K + 1,)
        Shares of the images: the base model's, then each expert's.
    """
    check_strength(strength)
    return np.concatenate([[1 - strength], strength * target])


def minimal_allocation(target: Double, base: Double, *, strength: float = 1.0) -> Double:
    """Allocate to experts only the images that the base model's shares lack.

    The wanted shares are ``w = (1 - s) q + s t``. The base model keeps the largest part that
    exceeds no wanted share, ``u = min_k w_k / q_k``, and expert k produces ``w_k - u q_k``. For
    K = 2 only one expert gets images.

    Parameters
    ----------
    target, strength
        As for `full_allocation`, which also describes the result.
    base : ndarray of shape (K,)
        The base model's shares q, of sum 1; an error in them enters the result times u.

    Raises
    ------
    ShapeError
        If target and base differ in length.
    """
    check_strength(strength)
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
    change earlier ones.

    Parameters
    ----------
    prompts, seeds : sequences of length n_images
        Equal prompt and seed give the same stratum.
    shares : mapping from prompt to ndarray of shape (K,)
        Of sum 1.

    Returns
    -------
    int ndarray of shape (n_images,)
        From 0 to K - 1.

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


def _uniform(prompt: str, seed: int) -> float:
    """Draw a number from [0, 1), the same on every machine."""
    return int(hash_parts("way", prompt, str(int(seed)))[:8], 16) / 2**32
