"""Steer the prompt's states along the gender direction, to a side that is drawn by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from probe.baselines.lookup import SIDES, Lookup, draw_sides
from probe.baselines.method import Material, Method
from probe.baselines.states import OnlyOpen
from probe.images.intervention import Condition, Intervention

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Tried on training subjects; 1 is the mean difference between a woman's and a man's prompt."""


class Steering(Intervention):
    """Add or subtract a multiple of the concept's direction at every position after the first.

    Parameters
    ----------
    direction : Tensor of shape (n_features,)
        From male to female.
    strength : float
        In lengths of the direction; 0 changes nothing.
    """

    def __init__(self, direction: torch.Tensor, *, strength: float) -> None:
        self._direction, self._strength = direction, strength

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a side for every picture, whatever its prompt says."""
        sides = draw_sides(prompts, seeds, name="steering")
        return [Condition(prompt, side) for prompt, side in zip(prompts, sides, strict=True)]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Move the states of each condition to its side."""
        signs = torch.tensor([1.0 if of.route == SIDES[0] else -1.0 for of in conditions])
        shift = self._strength * signs[:, None, None].to(states) * self._direction.to(states)
        return torch.cat([states[:, :1], states[:, 1:] + shift], dim=1)


def build(material: Material) -> Method:
    """Take the mean difference of pairs, at the fairest strength that training subjects bear.

    Of `STRENGTHS`, the fairest on fresh pictures of training subjects among those that lose at
    most one point of recognised subjects against the weakest.

    References
    ----------
    Li, Shen, Torr, Tresp, Gu, *Self-Discovering Interpretable Diffusion Latent Directions for
    Responsible Text-to-Image Generation*, CVPR 2024, section 4.2: a direction of each value is
    added, the value being drawn with equal chances. There it is learnt in the denoiser's
    bottleneck; that it is the mean difference of the prompt's states here is our choice.
    """
    return _build(material, None)


def build_gated(material: Material) -> Method:
    """Do the same to open prompts alone; the look-up in place of a gate is our addition."""
    return _build(material, Lookup(material.lexicon))


def _build(material: Material, lookup: Lookup | None) -> Method:
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
        return steering if lookup is None else OnlyOpen(steering, lookup.is_open)

    trials = {strength: material.try_out(at(strength)) for strength in STRENGTHS}
    least = trials[STRENGTHS[0]].recognised - 0.01
    borne = [strength for strength in STRENGTHS if trials[strength].recognised >= least]
    best = min(borne, key=lambda strength: trials[strength].mad)
    return Method(at(best), n_trainable=direction.numel(), chosen={"strength": best})
