"""The processes of one training: several that a launcher started, or one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from probe.errors import OptionError

if TYPE_CHECKING:
    import torch

_PATIENCE = timedelta(days=1)  # the first process may generate training images for hours


def world_size() -> int:
    """Number of processes that `accelerate launch` or `torchrun` started; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process; only 0, the first, writes files and reports progress."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes files and reports progress."""
    return rank() == 0


def own_device(device: str) -> str:
    """Device of this process where several share a machine: the second one's "cuda" is "cuda:1".

    >>> own_device("cuda")
    'cuda'
    """
    shares = world_size() > 1 and device == "cuda"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if shares else device


def check_batches(accumulate: int, n_processes: int) -> None:
    """Refuse batches of a step that cannot be shared out evenly."""
    if accumulate % n_processes:
        raise OptionError(
            f"accumulate is {accumulate} but {n_processes} processes share the batches of a step; "
            f"set it to a multiple of {n_processes}"
        )


def barrier() -> None:
    """Wait until all processes have reached this point."""
    if world_size() > 1:
        _state().wait_for_everyone()


@contextmanager
def first_before_others() -> Iterator[None]:
    """Run the block in the first process, then in the others, which find what it has written."""
    if world_size() == 1:
        yield
        return
    with _state().main_process_first():
        yield


def total(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over all processes; each gets the same result."""
    if world_size() == 1:
        return values
    from accelerate.utils import reduce

    _state()
    together: torch.Tensor = reduce(values, "sum")
    return together


@lru_cache(maxsize=1)
def _state() -> Any:
    """Connect the processes, once, when they first communicate."""
    import torch
    from accelerate import PartialState

    # Without this, accelerate runs each process alone on a machine without a GPU.
    is_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    return PartialState(cpu=is_cpu or not torch.cuda.is_available(), timeout=_PATIENCE)
