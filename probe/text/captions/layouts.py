"""Caption files as their publishers lay them out: Flickr, COCO, OpenImages, WinoBias, tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import read_lines
from probe.io.parsing import parse_json
from probe.text.captions.schemas import read_winobias_line

Rows = Iterator[tuple[str, Any]]
"""Where a caption stands ("line 3"), and the caption."""


@dataclass(frozen=True)
class Layout:
    """How one publisher lays captions out."""

    name: str
    fits: Callable[[Path, str], bool]
    """Takes the path and the first line; tells whether the file looks like this."""
    rows: Callable[[Path], Rows]


def recognise(path: Path) -> Layout | None:
    """Find the layout of a file by its name and first line; None if it is a plain table or list.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or its first line is not UTF-8.
    """
    if path.suffix.lower() == ".parquet":
        return None
    _, first = next(iter(read_lines(path)))
    return next((layout for layout in LAYOUTS if layout.fits(path, first)), None)


def _flickr_token(path: Path) -> Rows:
    for number, text in read_lines(path):
        if not text.strip():
            continue
        name, tab, caption = text.partition("\t")
        if not tab or not re.search(r"#\d+$", name):
            raise DataError(
                f"{path}, line {number}, is {text[:60]!r}; needed the name of a picture, # and a "
                "number, a tab, and a caption: correct the line"
            )
        yield f"line {number}", caption


def _flickr_pipes(path: Path) -> Rows:
    """``image_name| comment_number| comment``; one row of the published file lacks a mark."""
    lines = iter(read_lines(path))
    next(lines)
    for number, text in lines:
        if not text.strip():
            continue
        match = re.match(r"[^|]*\|\s*\d+\s*\|?(.*)", text)
        if match is None:
            raise DataError(
                f"{path}, line {number}, is {text[:60]!r}; needed a picture, | a number, | and a "
                "caption: correct the line"
            )
        yield f"line {number}", match[1].strip()


def _flickr_commas(path: Path) -> Rows:
    """``image,caption``: what follows the first comma is the caption, quoted or not."""
    lines = iter(read_lines(path))
    next(lines)
    for number, text in lines:
        if not text.strip():
            continue
        name, comma, caption = text.partition(",")
        if not comma or not name:
            raise DataError(
                f"{path}, line {number}, is {text[:60]!r}; needed a picture, a comma and a "
                "caption: correct the line"
            )
        if len(caption) > 1 and caption[0] == caption[-1] == '"':
            caption = caption[1:-1].replace('""', '"')
        yield f"line {number}", caption


def _narratives(path: Path) -> Rows:
    """Localized Narratives: of each line only the caption is kept, for traces are long."""
    for number, text in read_lines(path):
        if not text.strip():
            continue
        try:
            record = parse_json(text)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}, is not JSON ({one_line(error)}); correct it"
            ) from error
        yield f"line {number}", record.get("caption") if isinstance(record, dict) else None


def _coco(path: Path) -> Rows:
    text = "\n".join(line for _, line in read_lines(path))
    try:
        data = parse_json(text)
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({one_line(error)}); fetch it again") from error
    annotations = data.get("annotations") if isinstance(data, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise DataError(
            f"{path} has no list 'annotations' of objects, as COCO's caption files have; save it "
            "as .jsonl with an object a line, or as .csv"
        )
    for number, annotation in enumerate(annotations, 1):
        yield f"annotation {number}", annotation.get("caption")


def _winobias(path: Path) -> Rows:
    for number, text in read_lines(path):
        if text.strip():
            yield f"line {number}", read_winobias_line(path, number, text).prompt


def _is_narrative(path: Path, first: str) -> bool:
    return path.suffix.lower() == ".jsonl" and '"annotator_id"' in first and '"caption"' in first


LAYOUTS = (
    Layout(
        "Flickr's tokens",
        lambda path, first: bool(re.match(r"[^\t]+\.(?:jpg|jpeg|png)#\d+\t", first)),
        _flickr_token,
    ),
    Layout(
        "Flickr's table",
        lambda path, first: bool(re.match(r"\s*image\w*\s*\|\s*\w+\s*\|\s*\w+\s*$", first)),
        _flickr_pipes,
    ),
    Layout(
        "Flickr's list",
        lambda path, first: path.suffix.lower() == ".txt" and first.strip() == "image,caption",
        _flickr_commas,
    ),
    Layout("OpenImages' narratives", _is_narrative, _narratives),
    Layout("COCO's annotations", lambda path, first: path.suffix.lower() == ".json", _coco),
    Layout(
        "WinoBias",
        lambda path, first: bool(re.search(r"stereotyped_type\d\.txt", path.name)),
        _winobias,
    ),
)
"""In the order in which they are tried."""
