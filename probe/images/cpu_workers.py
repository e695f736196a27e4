"""Make parts of a batch side by side: one thread each, with its share of the cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from copy import copy, deepcopy
from typing import TYPE_CHECKING, TypeVar

import torch

from probe.images.guidance_cache import is_compiled
from probe.images.thread_pool import alongside

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

T = TypeVar("T")


class Streams:
    """Threads that each make pictures with a pipeline of their own.

    On a CPU, small parts take less time side by side, each on one core, than one after the other
    on all of them. An accelerator, or a compiler, is busy with one.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
    n_parts : int
        Parts that memory holds at once.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, n_parts: int) -> None:
        self._pipeline = pipeline
        self._cores = torch.get_num_threads()
        can_share = pipeline.unet.device.type == "cpu" and not is_compiled(pipeline.unet)
        self.n = max(1, min(self._cores, n_parts)) if can_share else 1
        self._own = threading.local()

    @property
    def pipeline(self) -> StableDiffusionPipeline:
        """That of the thread which asks."""
        return getattr(self._own, "pipeline", self._pipeline)

    def run(self, pieces: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
        """Run pieces of work as `alongside` does, on as many threads as there are streams."""
        if self.n == 1:
            yield from alongside(pieces)
            return
        try:
            yield from alongside(pieces, self.n, self._begin)
        finally:
            torch.set_num_threads(self._cores)  # what a thread sets, later threads begin with

    def _begin(self) -> None:
        torch.set_num_threads(self._cores // self.n)
        self._own.pipeline = separate(self._pipeline)


def separate(pipeline: StableDiffusionPipeline) -> StableDiffusionPipeline:
    """Give a pipeline of the same weights whose denoiser and scheduler are its own.

    What hooks, shadows and steps do to one is not seen by the other.
    """
    weights = [*pipeline.unet.parameters(), *pipeline.unet.buffers()]
    other = copy(pipeline)
    other.unet = deepcopy(pipeline.unet, {id(weight): weight for weight in weights})
    other.scheduler = deepcopy(pipeline.scheduler)
    return other
