"""Finish one piece of work on a second thread while the next one is being prepared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def alongside(pieces: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
    """Run each piece on a second thread, and yield what it returns once it has ended.

    The pieces are taken, and so prepared, on the calling thread, each while its predecessor runs.
    No two run at once, and one at most waits. What a piece raises is raised here, before the next
    one starts. However this ends, with an error, by Ctrl-C or because the caller closes it, the
    piece that runs is run to its end first and no other is started.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="alongside") as executor:
        running = None
        for piece in pieces:
            if running is not None:
                yield running.result()
            running = executor.submit(piece)
        if running is not None:
            yield running.result()
