"""Sampled routing: each picture's seed chooses the expert, so that the shares meet a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from probe.arrays import Double
from probe.images.intervention import Condition, Intervention
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.uniforms import draw_ways

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

Divide = Callable[[Sequence[str]], Sequence[Double]]
"""Prompts -> for each how its pictures are divided: the base model's share, then each expert's."""

WAYS = ("", *DIRECTIONS)
"""The route of a picture: left to the base model, or sent to an expert."""


class SampledRouting(Intervention):
    """Let the gate open prompts, and each picture's seed choose who gets it.

    Top-1 routing sends all pictures of a prompt to one expert, which must then shift their mix by
    the right amount. Here each expert only brings its value reliably, and the shares come from how
    many pictures it gets (see `probe.moesd.mixture.divisions`). Prompts that the gate leaves
    alone, and pictures that are left to the base model, stay as they are bit for bit.

    Parameters
    ----------
    moesd : MoESD
        Its experts must bring one value each, as the objective ``counterfactuals`` trains them.
    divide : callable
        Called once with all prompts for which the gate opens.
    """

    def __init__(self, moesd: MoESD, divide: Divide) -> None:
        self._moesd, self._divide = moesd, divide

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw each picture's way; see `probe.moesd.mixture.uniforms.draw_ways`."""
        opened = self._moesd.opened(list(dict.fromkeys(prompts)))
        divisions = dict(zip(opened, self._divide(opened), strict=True)) if opened else {}
        stays = np.eye(len(WAYS))[0]
        shares = {prompt: divisions.get(prompt, stays) for prompt in prompts}
        ways = draw_ways(prompts, seeds, shares)
        return [Condition(prompt, WAYS[way]) for prompt, way in zip(prompts, ways, strict=True)]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Send the states of each condition to its expert."""
        sent = [row for row, condition in enumerate(conditions) if condition.route]
        if not sent:
            return states
        toward_male = [conditions[row].route == DIRECTIONS[1] for row in sent]
        corrected = states.clone()
        corrected[sent] = self._moesd.send(
            [conditions[row].prompt for row in sent], torch.tensor(toward_male)
        ).to(states)
        return corrected
