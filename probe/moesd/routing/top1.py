"""Top-1 routing: the gate and the bias score of a prompt choose the expert of all its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from probe.images.intervention import Condition, StateCorrection
from probe.moesd.correction import Correction
from probe.moesd.unet_experts import UNetExperts
from probe.moesd.unet_routing import RoutedUNet


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
