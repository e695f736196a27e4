"""Captions of a file, row by row and with repeats, in bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import opened, read_json_lines, read_lines
from probe.io.records import (
    Records,
    choose_column,
    is_text_type,
    parquet_rows,
    reading_parquet,
)
from probe.text.prompt_files import PROMPT_NAMES, check_column, checked_prompt

Rows = Iterator[tuple[str, Any]]
"""Position of a caption in its file ("line 3"), and the caption."""

_BLOCK = 1 << 20  # bytes read together to count lines


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
    OpenImages, COCO's ``.json`` of annotations. Repeats are kept. A few thousand rows are in memory
    at a time (of COCO's file, all).

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
    layout = _recognise(path) if column is None else None
    if layout is not None:
        rows, column = layout.rows(path), ""
    else:
        check_column(path, column, what="captions")
        rows, column = (_parquet if suffix == ".parquet" else _table)(path, column)
    return CaptionFile(
        path,
        column,
        layout=layout.name if layout else "",
        n_rows=_count_rows(path),
        captions=(checked_prompt(caption, path, place) for place, caption in rows),
    )


def _count_rows(path: Path) -> int:
    if path.suffix.lower() == ".parquet":
        with reading_parquet(path) as file:
            return int(file.metadata.num_rows)
    with opened(path) as file:
        return 1 + sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


# Plain lists and tables


def _table(path: Path, column: str | None) -> tuple[Rows, str]:
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the captions")
    name = "" if path.suffix.lower() == ".txt" else found.columns[index]
    return ((place, values[index]) for place, values in found.rows), name


def _parquet(path: Path, column: str | None) -> tuple[Rows, str]:
    """Read one column only: tables of images have many, and millions of rows."""
    with reading_parquet(path) as file:
        is_text = {field.name: is_text_type(field.type) for field in file.schema_arrow}
    name = choose_column(path, is_text, wanted=column, known=PROMPT_NAMES, what="the captions")
    return ((place, values[0]) for place, values in parquet_rows(path, [name])), name


# Publishers' layouts


@dataclass(frozen=True)
class _Layout:
    name: str
    fits: Callable[[Path, str], object]
    """True if a file has this layout, by its path and its first line."""
    rows: Callable[[Path], Rows]


def _recognise(path: Path) -> _Layout | None:
    """Find the layout of a file by its name and first line; None for a plain table or list."""
    if path.suffix.lower() == ".parquet":
        return None
    _, first = next(iter(read_lines(path)))
    return next((layout for layout in _LAYOUTS if layout.fits(path, first)), None)


def _matches(
    pattern: str, needed: str, *, has_header: bool, clean: Callable[[str], str] = str
) -> Callable[[Path], Rows]:
    """Read a text file of which every line matches a pattern, whose group is the caption."""

    def rows(path: Path) -> Rows:
        for number, text in read_lines(path):
            if not text.strip() or (has_header and number == 1):
                continue
            match = re.fullmatch(pattern, text, re.DOTALL)
            if match is None:
                raise DataError(
                    f"{path}, line {number}, is {text[:60]!r}; needed {needed}: correct the line"
                )
            yield f"line {number}", clean(match[1])

    return rows


def _unquoted(caption: str) -> str:
    if len(caption) > 1 and caption[0] == caption[-1] == '"':
        return caption[1:-1].replace('""', '"')
    return caption


def _narratives(path: Path) -> Rows:
    for number, record in read_json_lines(path):
        yield f"line {number}", record.get("caption") if isinstance(record, dict) else None


def _coco(path: Path) -> Rows:
    text = "\n".join(line for _, line in read_lines(path))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({one_line(error)}); fetch it again") from error
    annotations = data.get("annotations") if isinstance(data, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise DataError(
            f"{path} has no list 'annotations' of objects, as COCO's caption files have; save it "
            "as .jsonl with an object a line, or as .csv"
        )
    for number, annotation in enumerate(annotations, 1):
        yield f"annotation {number}", annotation.get("caption")


_TOKENS = _matches(
    r"[^\t]*#\d+\t(.*)",
    "the name of a picture, # and a number, a tab, and a caption",
    has_header=False,
)
# One row of the published file has no second "|".
_BARS = _matches(
    r"[^|]*\|\s*\d+\s*\|?(.*)",
    "a picture, | a number, | and a caption",
    has_header=True,
    clean=str.strip,
)
# The caption is all that follows the first comma, quoted or not.
_COMMAS = _matches(
    r"[^,]+,(.*)", "a picture, a comma and a caption", has_header=True, clean=_unquoted
)

# In the order in which they are tried.
_LAYOUTS = (
    _Layout(
        "Flickr's tokens",
        lambda path, first: re.match(r"[^\t]+\.(?:jpg|jpeg|png)#\d+\t", first),
        _TOKENS,
    ),
    _Layout(
        "Flickr's table",
        lambda path, first: re.match(r"\s*image\w*\s*\|\s*\w+\s*\|\s*\w+\s*$", first),
        _BARS,
    ),
    _Layout(
        "Flickr's list",
        lambda path, first: path.suffix.lower() == ".txt" and first.strip() == "image,caption",
        _COMMAS,
    ),
    _Layout(
        "OpenImages' narratives",
        lambda path, first: (
            path.suffix.lower() == ".jsonl" and '"annotator_id"' in first and '"caption"' in first
        ),
        _narratives,
    ),
    _Layout("COCO's annotations", lambda path, first: path.suffix.lower() == ".json", _coco),
)
