"""Tables of captions that a spreadsheet opens without running what a caption says."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from probe.errors import OptionError
from probe.io.files import atomic, harmless


class Writer(Protocol):
    """What a csv writer does."""

    def writerow(self, row: Sequence[str], /) -> object:
        """Write one row."""


@contextmanager
def safe_table(path: Path, columns: Sequence[str]) -> Iterator[Writer]:
    """Write a CSV file (commas, UTF-8, RFC 4180) row by row; it is whole or absent.

    Every cell is written by `probe.io.files.harmless`.

    Raises
    ------
    ValueError
        If the name does not end in ``.csv``.
    ArtifactError
        If the file cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path.name} is to hold a table; needed a name that ends in .csv")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield _Safe(writer)


class _Safe:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def writerow(self, row: Sequence[str], /) -> object:
        return self._writer.writerow([harmless(cell) for cell in row])
