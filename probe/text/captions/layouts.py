"""Caption files in their publishers' layouts: Flickr, COCO, OpenImages and WinoBias."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import read_lines
from probe.io.parsing import parse_json, read_json_lines

Rows = Iterator[tuple[str, Any]]
"""Position of a caption in its file ("line 3"), and the caption."""

_WINOBIAS_PRONOUN = re.compile(r"he|him|his|himself|she|her|hers|herself", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """One publisher's layout of a caption file."""

    name: str
    fits: Callable[[Path, str], bool]
    """Whether a file has this layout, by its path and its first line."""
    rows: Callable[[Path], Rows]


def recognise(path: Path) -> Layout | None:
    """Find the layout of a file by its name and first line; None for a plain table or list.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or its first line is not UTF-8.
    """
    if path.suffix.lower() == ".parquet":
        return None
    _, first = next(iter(read_lines(path)))
    return next((layout for layout in LAYOUTS if layout.fits(path, first)), None)


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
    """``1 [The developer] argued with the designer because [she] did not like the design.``"""
    for number, text in read_lines(path):
        if not text.strip():
            continue
        match = re.match(r"\s*\d+\s+(.+)", text)
        marked = [part.strip() for part in re.findall(r"\[(.*?)\]", text)]
        people = [part for part in marked if not _WINOBIAS_PRONOUN.fullmatch(part)]
        if match is None or len(people) != 1 or len(marked) < 2:
            raise DataError(
                f"{path}, line {number}, marks {marked}; needed a number, one person and pronouns "
                "in square brackets: correct the line"
            )
        sentence = re.sub(r"\s+('s\b|[,.;])", r"\1", re.sub(r"[\[\]]", "", match[1]))
        yield f"line {number}", " ".join(sentence.split())


LAYOUTS = (
    Layout(
        "Flickr's tokens",
        lambda path, first: bool(re.match(r"[^\t]+\.(?:jpg|jpeg|png)#\d+\t", first)),
        _matches(
            r"[^\t]*#\d+\t(.*)",
            "the name of a picture, # and a number, a tab, and a caption",
            has_header=False,
        ),
    ),
    Layout(
        "Flickr's table",
        lambda path, first: bool(re.match(r"\s*image\w*\s*\|\s*\w+\s*\|\s*\w+\s*$", first)),
        # One row of the published file has no second "|".
        _matches(
            r"[^|]*\|\s*\d+\s*\|?(.*)",
            "a picture, | a number, | and a caption",
            has_header=True,
            clean=str.strip,
        ),
    ),
    Layout(
        "Flickr's list",
        lambda path, first: path.suffix.lower() == ".txt" and first.strip() == "image,caption",
        # The caption is all that follows the first comma, quoted or not.
        _matches(
            r"[^,]+,(.*)", "a picture, a comma and a caption", has_header=True, clean=_unquoted
        ),
    ),
    Layout(
        "OpenImages' narratives",
        lambda path, first: (
            path.suffix.lower() == ".jsonl" and '"annotator_id"' in first and '"caption"' in first
        ),
        _narratives,
    ),
    Layout("COCO's annotations", lambda path, first: path.suffix.lower() == ".json", _coco),
    Layout(
        "WinoBias",
        lambda path, first: bool(re.search(r"stereotyped_type\d\.txt", path.name)),
        _winobias,
    ),
)
"""In the order in which they are tried."""
