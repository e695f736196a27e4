"""Captions of a file, row by row and with repeats, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probe.errors import DataError, OptionError
from probe.io.lines import opened
from probe.io.records import (
    SUFFIXES,
    Records,
    choose_column,
    is_text_type,
    parquet_rows,
    reading_parquet,
)
from probe.text.captions.layouts import Rows, recognise
from probe.text.prompt_files import PROMPT_NAMES
from probe.text.prompts import check_prompt

_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class CaptionFile:
    """The captions of a file, to be iterated once."""

    path: Path
    column: str
    """Column of the captions; empty for a file without columns."""
    layout: str
    """Layout of the file, e.g. ``"Flickr's tokens"``; empty for a plain table or list."""
    n_rows: int
    """Upper limit of the number of rows: line breaks of a text file, rows of a Parquet file."""
    captions: Iterator[str | None]
    """One a row, None for a row without a caption."""

    def place(self) -> str:
        """The file with its layout or column, for messages."""
        if self.layout:
            return f"{self.path.name} ({self.layout})"
        return f"column {self.column!r} of {self.path.name}" if self.column else self.path.name


def open_captions(path: str | Path, *, column: str | None = None) -> CaptionFile:
    """Open a file of captions.

    A ``.txt`` file has one a line; a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file has a
    column of them, as in `read_prompts`: LAION's ``TEXT`` or ``caption`` beside ``url`` is found.
    Recognised by their first line or name: Flickr's ``picture.jpg#0<tab>caption``,
    ``image_name| comment_number| comment`` and ``image,caption``, the Localized Narratives of
    OpenImages, COCO's ``.json`` of annotations, WinoBias. Repeats are kept. A few
    thousand rows are in memory at a time (of COCO's file, all).

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
    layout = recognise(path) if column is None or suffix == ".txt" else None
    if layout is None and suffix not in SUFFIXES:
        raise OptionError(
            f"{path.name} is no file of captions; needed one that ends in {', '.join(SUFFIXES)}, "
            "or one of Flickr, COCO, OpenImages or WinoBias"
        )
    if suffix == ".txt" and column is not None:
        raise OptionError(f"column is {column!r}, but {path.name} has no columns; leave it out")
    if layout is not None:
        found, name = layout.rows(path), ""
    elif suffix == ".parquet":
        found, name = _parquet(path, column)
    else:
        found, name = _table(path, column)
    return CaptionFile(
        path,
        column=name,
        layout=layout.name if layout else "",
        n_rows=_count_rows(path),
        captions=_checked(path, found),
    )


def _table(path: Path, column: str | None) -> tuple[Rows, str]:
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the captions")
    name = "" if path.suffix.lower() == ".txt" else found.columns[index]
    return ((place, values[index]) for place, values in found.rows), name


def _parquet(path: Path, column: str | None) -> tuple[Rows, str]:
    """Read one column only: tables of pictures have many, and millions of rows."""
    with reading_parquet(path) as file:
        is_text = {field.name: is_text_type(field.type) for field in file.schema_arrow}
    name = choose_column(path, is_text, wanted=column, known=PROMPT_NAMES, what="the captions")
    return ((place, values[0]) for place, values in parquet_rows(path, [name])), name


def _checked(path: Path, rows: Rows) -> Iterator[str | None]:
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
        with reading_parquet(path) as file:
            return int(file.metadata.num_rows)
    with opened(path) as file:
        return 1 + sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
