"""Steer the prompt's states along the gender direction, to a random side."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from probe.baselines import BASELINES
from probe.baselines.method import Material, Method
from probe.baselines.states import RandomSide, behind_lookup
from probe.baselines.words import SIDES
from probe.images.intervention import Condition

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Tried on training subjects; 1 is the mean difference between a woman's and a man's prompt."""


class Steering(RandomSide):
    """Add or subtract a multiple of a direction at every position after the first.

    ``direction``, (n_features,), points from male to female; ``strength`` is in its lengths.
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
def steering(material: Material) -> Method:
    """Use the mean difference of pairs, at the fairest strength that keeps the subject.

    Of `STRENGTHS`, the fairest on new images of training subjects among those that recognise at
    most one percentage point fewer subjects than the weakest.

    Li, Shen, Torr, Tresp, Gu, *Self-Discovering Interpretable Diffusion Latent Directions for
    Responsible Text-to-Image Generation*, CVPR 2024, section 4.2: a direction of each value is
    added, the value being drawn with equal probability. There it is learned in the denoiser's
    bottleneck; the mean difference of the prompt's states is our choice.
    """
    means = []
    for rows in reversed(material.prompts.pairs()):  # female, male
        prompts = [material.prompts.prompts[row] for row in rows]
        states, ids = material.encoder.states(prompts), material.encoder.tokenize(prompts)
        means.append(material.encoder.pool(states, ids).mean(dim=0))
    direction = means[0] - means[1]
    methods = {strength: Steering(direction, strength=strength) for strength in STRENGTHS}
    trials = {strength: material.try_out(method) for strength, method in methods.items()}
    least = trials[STRENGTHS[0]].recognised - 0.01
    allowed = [strength for strength in STRENGTHS if trials[strength].recognised >= least]
    best = min(allowed, key=lambda strength: trials[strength].mad)
    return Method(methods[best], n_trainable=direction.numel(), chosen={"strength": best})


steering_lookup = BASELINES.add("steering-lookup", behind_lookup(steering))
