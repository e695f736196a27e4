"""Steer the prompt's states along the gender direction, to a random side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from probe.baselines import BASELINES
from probe.baselines.lookup import SIDES
from probe.baselines.method import Material, Method
from probe.baselines.states import RandomSide, only_open
from probe.images.intervention import Condition, Intervention

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Tried on training subjects; 1 is the mean difference between a woman's and a man's prompt."""


class Steering(RandomSide):
    """Add or subtract a multiple of a direction at every position after the first.

    Parameters
    ----------
    direction : Tensor of shape (n_features,)
        From male to female.
    strength : float
        In lengths of the direction; 0 changes nothing.
    """

    name = "steering"

    def __init__(self, direction: torch.Tensor, *, strength: float) -> None:
        self._direction, self._strength = direction, strength

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Shift the states of each condition to its side."""
        signs = torch.tensor([1.0 if of.route == SIDES[0] else -1.0 for of in conditions])
        shift = self._strength * signs[:, None, None].to(states) * self._direction.to(states)
        return torch.cat([states[:, :1], states[:, 1:] + shift], dim=1)


@BASELINES.register("steering")
def build(material: Material) -> Method:
    """Use the mean difference of pairs, at the fairest strength that keeps the subject.

    Of `STRENGTHS`, the fairest on new images of training subjects among those that recognise at
    most one percentage point fewer subjects than the weakest.

    References
    ----------
    Li, Shen, Torr, Tresp, Gu, *Self-Discovering Interpretable Diffusion Latent Directions for
    Responsible Text-to-Image Generation*, CVPR 2024, section 4.2: a direction of each value is
    added, the value being drawn with equal probability. There it is learned in the denoiser's
    bottleneck; the mean difference of the prompt's states is our choice.
    """
    return _build(material, is_gated=False)


@BASELINES.register("steering-lookup")
def build_gated(material: Material) -> Method:
    """Steer open prompts only; the look-up in place of a gate is our addition."""
    return _build(material, is_gated=True)


def _build(material: Material, *, is_gated: bool) -> Method:
    male, female = material.prompts.pairs()
    prompts = np.asarray(material.prompts.prompts, dtype=object)
    sides = [
        material.encoder.pool(
            material.encoder.states(list(prompts[rows])),
            material.encoder.tokenize(list(prompts[rows])),
        ).mean(dim=0)
        for rows in (female, male)
    ]
    direction = sides[0] - sides[1]

    def at(strength: float) -> Intervention:
        steering = Steering(direction, strength=strength)
        return only_open(steering, material.lexicon) if is_gated else steering

    trials = {strength: material.try_out(at(strength)) for strength in STRENGTHS}
    least = trials[STRENGTHS[0]].recognised - 0.01
    allowed = [strength for strength in STRENGTHS if trials[strength].recognised >= least]
    best = min(allowed, key=lambda strength: trials[strength].mad)
    return Method(at(best), n_trainable=direction.numel(), chosen={"strength": best})
