"""Finish pieces of work on other threads while the next ones are being prepared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def alongside(
    pieces: Iterable[Callable[[], T]],
    n_threads: int = 1,
    begin: Callable[[], None] | None = None,
) -> Generator[T, None, None]:
    """Run each piece on another thread, and yield what it returns once it has ended.

    The pieces are taken, and so prepared, on the calling thread, each while its predecessors run.
    No more than ``n_threads`` run at once, and one at most waits; each thread calls ``begin``
    first. What a piece raises is raised here, before the next one starts. However this ends, with
    an error, by Ctrl-C or because the caller closes it, the pieces that run are run to their end
    first and no other is started.
    """
    with ThreadPoolExecutor(n_threads, "alongside", begin) as executor:
        running: set[Future[T]] = set()
        for piece in pieces:
            if len(running) == n_threads:
                yield from _ended(running)
            running.add(executor.submit(piece))
        while running:
            yield from _ended(running)


def _ended(running: set[Future[T]]) -> Iterator[T]:
    """Wait for one at least to end, and take those that have out of what runs."""
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= ended
    for one in ended:
        yield one.result()
