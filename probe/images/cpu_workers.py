"""Threads that generate parts of a batch concurrently on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch

from probe.images.models.lookup import image_model

T = TypeVar("T")


class CpuWorkers:
    """Threads that generate images, each with its own copy of the pipeline.

    On a CPU, small parts of a batch take less time concurrently, each on one core, than one after
    the other on all cores. On an accelerator, or with a compiled denoiser, there is one worker.
    ``n_parts`` fit in memory at once.
    """

    def __init__(self, pipeline: Any, n_parts: int) -> None:
        self._pipeline = pipeline
        self._cores = torch.get_num_threads()
        self.n = max(1, min(self._cores, n_parts)) if image_model(pipeline).can_copy else 1
        self._local = threading.local()

    @property
    def pipeline(self) -> Any:
        """The pipeline of the calling thread."""
        return getattr(self._local, "pipeline", self._pipeline)

    def run(self, pieces: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
        """Run pieces of work as `run_in_threads` does, with one thread per worker."""
        if self.n == 1:
            yield from run_in_threads(pieces)
            return
        try:
            yield from run_in_threads(pieces, self.n, self._start)
        finally:
            torch.set_num_threads(self._cores)  # later threads inherit the last setting

    def _start(self) -> None:
        torch.set_num_threads(self._cores // self.n)
        self._local.pipeline = image_model(self._pipeline).independent_copy()


def run_in_threads(
    pieces: Iterable[Callable[[], T]],
    n_threads: int = 1,
    start: Callable[[], None] | None = None,
) -> Generator[T, None, None]:
    """Run each piece on another thread, and yield its result when it has ended.

    Pieces are taken, and so prepared, on the calling thread while earlier ones run. At most
    ``n_threads`` run at once and at most one waits; each thread calls ``start`` first. An exception
    of a piece is raised here, before the next one starts. However this ends (error, Ctrl-C, or
    closed by the caller), running pieces are finished and no other is started.
    """
    with ThreadPoolExecutor(n_threads, "probe", start) as executor:
        running: set[Future[T]] = set()
        for piece in pieces:
            if len(running) == n_threads:
                yield from _ended(running)
            running.add(executor.submit(piece))
        while running:
            yield from _ended(running)


def _ended(running: set[Future[T]]) -> Iterator[T]:
    """Wait until a future has ended, and remove those that have from ``running``."""
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= ended
    for one in ended:
        yield one.result()
