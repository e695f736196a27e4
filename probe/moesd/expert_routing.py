"""The correction as the making of pictures meets it: states, and the U-Net's experts by route."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from probe.images.intervention import Condition, StateCorrection
from probe.moesd.unet.experts import UNetExperts
from probe.moesd.unet.routing import Routed

if TYPE_CHECKING:
    from probe.moesd.model import MoESD


class ExpertRouting(StateCorrection):
    """Correct the states, and send each picture through the experts of its prompt's route."""

    def __init__(self, moesd: MoESD, experts: UNetExperts) -> None:
        super().__init__(moesd)
        self._moesd, self._experts = moesd, experts
        self._revision = experts.revision

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Give each picture the route of its prompt; the seed decides nothing."""
        distinct = list(dict.fromkeys(prompts))
        routes = dict(zip(distinct, self._moesd.routes(distinct), strict=True))
        return [Condition(prompt, routes[prompt]) for prompt in prompts]

    def signature(self, condition: Condition) -> str:
        """Name the experts' weights and the route."""
        return f"unet_experts={self._revision} {condition.route}" if condition.route else ""

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Put the experts into the U-Net while a batch is denoised, unless no picture needs one."""
        routes = [condition.route for condition in conditions]
        if not any(routes):
            yield
            return
        with Routed(pipeline.unet, self._experts) as routed:
            routed.send(routes)
            yield
