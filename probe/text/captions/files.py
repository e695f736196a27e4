"""Captions of a file, row by row and with repeats, in bounded memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.lines import read_json, read_json_lines, read_lines
from probe.io.records import Records, choose_column, parquet_columns, parquet_rows
from probe.text.prompt_files import PROMPT_NAMES, check_column, checked_prompt

Rows = Iterator[tuple[str, Any]]
"""Position of a caption in its file ("line 3"), and the caption."""

# Flickr's layouts: a pattern of the first line, one of a row, and what a row holds. One row of the
# published table has no second "|"; in the list, the caption is all after the first comma.
_FLICKR = {
    "Flickr's tokens": (
        r"[^\t]+\.(?:jpg|jpeg|png)#\d+\t.*",
        r"[^\t]*#\d+\t(.*)",
        "the name of an image, # and a number, a tab, and a caption",
    ),
    "Flickr's table": (
        r"\s*image\w*\s*\|\s*\w+\s*\|\s*\w+\s*",
        r"[^|]*\|\s*\d+\s*\|?(.*)",
        "an image, | a number, | and a caption",
    ),
    "Flickr's list": (r"image,caption\s*", r"[^,]+,(.*)", "an image, a comma and a caption"),
}


@dataclass(frozen=True, eq=False)
class CaptionFile:
    """The captions of a file, to be iterated once."""

    path: Path
    column: str
    """Column of the captions; empty for a file without columns."""
    layout: str
    """Layout of the file, e.g. ``"Flickr's tokens"``; empty for a plain table or list."""
    captions: Iterator[str | None]
    """One a row, None for a row without a caption."""

    def place(self) -> str:
        """The file with its layout or column, for messages."""
        if self.layout:
            return f"{self.path.name} ({self.layout})"
        return f"column {self.column!r} of {self.path.name}" if self.column else self.path.name


def open_captions(path: str | Path, *, column: str | None = None) -> CaptionFile:
    """Open a file of captions (``docs/files.md``); a damaged row is refused when it is reached.

    Repeats are kept. A few thousand rows are in memory at a time (of COCO's file, all).
    """
    path = Path(path)
    layout = _recognise(path) if column is None else ""
    if layout:
        rows, column = _rows_of_layout(path, layout), ""
    else:
        check_column(path, column, what="captions")
        rows, column = (_parquet if path.suffix.lower() == ".parquet" else _table)(path, column)
    captions = (checked_prompt(caption, path, place) for place, caption in rows)
    return CaptionFile(path, column, layout, captions)


def _table(path: Path, column: str | None) -> tuple[Rows, str]:
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the captions")
    name = "" if path.suffix.lower() == ".txt" else found.columns[index]
    return ((place, values[index]) for place, values in found.rows), name


def _parquet(path: Path, column: str | None) -> tuple[Rows, str]:
    """Read one column only: tables of images have many, and millions of rows."""
    columns = parquet_columns(path)
    name = choose_column(path, columns, wanted=column, known=PROMPT_NAMES, what="the captions")
    return ((place, values[0]) for place, values in parquet_rows(path, [name])), name


def _recognise(path: Path) -> str:
    """Find the publisher's layout of a file by its name and first line; empty if it has none."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ""
    _, first = next(read_lines(path))
    for name, (header, _, _) in _FLICKR.items():
        if re.fullmatch(header, first) and (suffix == ".txt" or name != "Flickr's list"):
            return name
    if suffix == ".jsonl" and '"annotator_id"' in first and '"caption"' in first:
        return "OpenImages' narratives"
    return "COCO's annotations" if suffix == ".json" else ""


def _rows_of_layout(path: Path, layout: str) -> Rows:
    if layout in _FLICKR:
        return _flickr(path, layout)
    return _coco(path) if layout == "COCO's annotations" else _narratives(path)


def _flickr(path: Path, layout: str) -> Rows:
    _, pattern, needed = _FLICKR[layout]
    for number, text in read_lines(path):
        if not text.strip() or (number == 1 and layout != "Flickr's tokens"):
            continue
        match = re.fullmatch(pattern, text)
        if match is None:
            raise DataError(
                f"{path}, line {number}, is {text[:60]!r}; needed {needed}: correct the line"
            )
        caption = match[1].strip()
        if len(caption) > 1 and caption[0] == caption[-1] == '"':
            caption = caption[1:-1].replace('""', '"')
        yield f"line {number}", caption


def _narratives(path: Path) -> Rows:
    for number, record in read_json_lines(path):
        yield f"line {number}", record.get("caption") if isinstance(record, dict) else None


def _coco(path: Path) -> Rows:
    data = read_json(path)
    annotations = data.get("annotations") if isinstance(data, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise DataError(
            f"{path} has no list 'annotations' of objects, as COCO's caption files have; save it "
            "as .jsonl with an object a line, or as .csv"
        )
    for number, annotation in enumerate(annotations, 1):
        yield f"annotation {number}", annotation.get("caption")
