"""Write a correction into a folder that can be uploaded to a hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from probe.errors import DataError
from probe.io.artifacts import atomic
from probe.run.files import QUALITY, correction_files
from probe.run.folder import Run
from probe.run.registry import Record

CARD = "README.md"
FIGURES = "figures.json"


@dataclass(frozen=True)
class PublishResult(Record):
    """What was written."""

    folder: str
    files: tuple[str, ...]

    def summary(self) -> str:
        """One line."""
        return f"{self.folder}: {', '.join(self.files)}"


def publish(run: Run, folder: Path, compose: Callable[[Path], str]) -> PublishResult:
    """Write the correction, its model card, and the numbers behind the card.

    Parameters
    ----------
    folder : Path
        New or empty.
    compose : callable
        Run folder to the text of the model card; see `figures.cards.correction_card`.

    Raises
    ------
    DataError
        If the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; needed a new or an empty folder")
    card = compose(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    sources = correction_files(run.config)
    names = [Path(source).name for source in sources]
    for name, source in zip(names, sources, strict=True):
        with atomic(folder / name) as temporary:
            shutil.copyfile(run.folder / source, temporary)
    with atomic(folder / FIGURES) as temporary:
        shutil.copyfile(run.folder / QUALITY, temporary)
    with atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    return PublishResult(str(folder), (*names, FIGURES, CARD))
