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

    Parameters
    ----------
    folder : Path
    is_shared : bool
        Whether the processes of a launcher share the work; the first of them locks the run for
        all.

    Raises
    ------
    BusyError, ArtifactError
        As `probe.io.files.exclusive`.
    StageError
        If a launcher has started several processes and the work cannot be shared.
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
