"""Memory: batches that are halved where it does not suffice, and the room that is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from probe.errors import MemoryLimitError

T = TypeVar("T")

_logger = logging.getLogger("probe")


class BatchLimit:
    """The number of images that fit in memory together, found by trying."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._n: int | None = None

    def run(
        self, work: Callable[[slice], T], n: int, *, saves_memory: Callable[[], bool] | None = None
    ) -> list[T]:
        """Do work on n rows together, or on fewer at a time from when memory does not suffice.

        ``saves_memory`` lowers what the work on one row needs; it returns whether it did.

        Raises
        ------
        MemoryLimitError
            If one row does not fit.
        """
        done, results = 0, list[T]()
        while done < n:
            size = min(self._n or n, n - done)
            try:
                results.append(work(slice(done, done + size)))
                done += size
                continue
            except RuntimeError as error:
                if not is_memory_error(error):
                    raise
            # After the block: the error holds the tensors of the work.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if size > 1:
                self._n = size // 2
                _logger.warning(
                    "memory does not suffice to %s %d images together: from now on %d",
                    *(self._what, size, self._n),
                )
            elif saves_memory is None or not saves_memory():
                raise MemoryLimitError(
                    f"memory does not suffice to {self._what} one image; choose --dtype bfloat16, "
                    "--offload model or sequential (on a GPU), or a smaller model"
                )
        return results


def is_memory_error(error: RuntimeError) -> bool:
    """Whether torch found too little memory; the CPU's allocator raises no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def peak_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """Measure the memory that work needs besides what is allocated; None where that is unknown."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.empty_cache()
    return int(torch.cuda.max_memory_allocated(device) - before)


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
