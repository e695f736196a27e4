"""Captions of a file, row by row and repeats included, however large the file is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probe.errors import DataError
from probe.files import one_line
from probe.text.exchange.lines import opened
from probe.text.exchange.prompt_files import PROMPT_NAMES
from probe.text.exchange.records import SUFFIXES, Records
from probe.text.prompts import check_prompt

_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class CaptionFile:
    """The captions of a file, to be gone through once."""

    path: Path
    column: str
    """The column that the captions are taken from; empty for a plain list."""
    n_rows: int
    """How many rows there are at most: line breaks of a text file, rows of a Parquet file."""
    captions: Iterator[str | None]
    """One a row, None for a row without a caption."""


def open_captions(path: str | Path, *, column: str | None = None) -> CaptionFile:
    """Begin to read a ``.txt``, ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file of captions.

    What such a file looks like, and which column is taken, is as in `read_prompts`; but a repeated
    caption is given each time, and only the captions are held, a few thousand rows at a time.

    Parameters
    ----------
    path : path
    column : str, optional
        Column that holds the captions; needed only if several could be meant.

    Raises
    ------
    DataError
        If the file cannot be read, or it is not clear which column is meant; a damaged row is
        refused, with its number, when it is reached.
    ValueError
        If the file is of another kind, or a column is named of a file without columns.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{path.name} is no file of captions; needed one that ends in {', '.join(SUFFIXES)}"
        )
    if suffix == ".txt" and column is not None:
        raise ValueError(f"column is {column!r}, but {path.name} has no columns; leave it out")
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the captions")
    rows = ((place, values[index]) for place, values in found.rows)
    return CaptionFile(
        path,
        column="" if suffix == ".txt" else found.columns[index],
        n_rows=_count_rows(path),
        captions=_checked(path, rows),
    )


def _checked(path: Path, rows: Iterator[tuple[str, object]]) -> Iterator[str | None]:
    for place, caption in rows:
        if caption is None or (isinstance(caption, str) and not caption.strip()):
            yield None
            continue
        try:
            check_prompt(caption)
        except DataError as error:
            raise DataError(f"{path}, {place}: {error}") from error
        yield str(caption)


def _count_rows(path: Path) -> int:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is not Parquet ({one_line(error)}); write it anew") from error
    with opened(path) as file:
        return 1 + sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
