"""One process at a time writes to a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probe.errors import StageError
from probe.io import distributed
from probe.io.files import exclusive, remove_orphans


@contextmanager
def locked(folder: Path, *, is_shared: bool = False) -> Iterator[None]:
    """Lock a run for this process, and remove temporary files that dead processes left.

    ``is_shared`` says that the processes of a launcher share the work: the first one locks for all.
    """
    if distributed.world_size() > 1 and not is_shared:
        raise StageError(
            f"{distributed.world_size()} processes were launched but only `moesd-probe train` "
            "shares its work out; run this command without a launcher"
        )
    if not distributed.is_first():
        yield
        return
    with exclusive(folder):
        remove_orphans(folder)
        yield
