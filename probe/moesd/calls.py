"""Calls of a pipeline: their arguments, and the seeds of their images."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from probe.io.files import hash_parts


def observed(pipeline: Any, note: Callable[[Mapping[str, Any]], None]) -> Any:
    """Make a subclass of a pipeline's class that passes on the arguments of each call."""

    @functools.wraps(pipeline.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(pipeline.__call__).bind(self, *args, **kwargs)
        given.apply_defaults()
        note(given.arguments)
        try:
            return pipeline.__call__(self, *args, **kwargs)
        finally:
            note({})

    kept = {name: getattr(pipeline, name) for name in ("__module__", "__doc__", "__qualname__")}
    return type(pipeline.__name__, (pipeline,), {**kept, "__call__": call})


def image_seeds(generator: Any, n_images: int, *, n_calls: int) -> list[int]:
    """Find the seed of each image of a call.

    A generator per image: its seed, or a number drawn from its state if it was used before. One
    generator for several images: image i has the first one's seed plus i. None: the same, from the
    state of torch's global generator and the number of earlier calls without a generator.
    """
    generators = generator if isinstance(generator, list) else [generator]
    seeds = [_seed(one, n_calls) for one in generators]
    if len(seeds) == n_images:
        return seeds
    return [seeds[0] + index for index in range(n_images)]  # diffusers refuses too few in a list


def _seed(generator: torch.Generator | None, n_calls: int) -> int:
    if generator is None:
        # A GPU's noise does not change the state of the CPU's generator, so calls are counted.
        return _hashed(torch.get_rng_state(), n_calls)
    seed, state = generator.initial_seed(), generator.get_state()
    fresh = torch.Generator(generator.device).manual_seed(seed)
    return seed if torch.equal(state, fresh.get_state()) else _hashed(state, 0)


def _hashed(state: torch.Tensor, n_calls: int) -> int:
    return int(hash_parts(state.numpy(), str(n_calls))[:8], 16)
