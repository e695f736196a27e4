"""Start a run with other settings from the files of another run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from probe.io.files import atomic
from probe.io.settings import file_settings
from probe.run.config import FILE, Config
from probe.run.folder import Run
from probe.run.lock import locked

_TAKEN = ("embeddings", "latent", "moesd", "images/base")


def branch(run: Run, folder: Path) -> None:
    """Start a run in a folder of its own with what another run has made already.

    Each stage checks which of the files its settings still allow. Files that are in the folder
    already stay; pictures are linked where the file system can, because no file of a run is ever
    changed in place.

    Parameters
    ----------
    run : Run
        The other run, with the settings of the new one.
    folder : Path
    """
    config = run.config
    with locked(folder):
        for table in config.tables.values():
            for name in file_settings(table).values():
                _copy(run.path(name), folder / name)
        for name in _TAKEN:
            for source in sorted((run.folder / name).rglob("*")):
                target = folder / source.relative_to(run.folder)
                if source.is_file() and not source.name.startswith(".") and not target.exists():
                    _link(source, target) if source.suffix == ".png" else _copy(source, target)
        if not (folder / FILE).exists() or Config.read(folder) != config:
            config.write(folder)


def _copy(source: Path, target: Path) -> None:
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        _copy(source, target)
