"""Text files of users, line by line: UTF-8 without NUL bytes; errors name the line."""

import contextlib
import difflib
import json
import math
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import named_once, one_line, open_regular, parse_json, read_whole

LONGEST = 4 * 2**20
"""Bytes of the longest line that is read."""
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a user's file; `DataError` if it cannot be read or is empty."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}; name another file") from error
    with file:
        if not file.peek(1):
            raise DataError(f"{path} is empty; name a file that holds something")
        yield file


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of each line, counted from 1, without its ending.

    A byte order mark is left out, and a line has at most `LONGEST` bytes. Only ``\\n`` and
    ``\\r\\n`` end a line, because a prompt may contain other line breaks of Unicode.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, is not UTF-8 or holds a NUL byte; the last two with
        the number of the line.
    """
    with opened(path) as file:
        for number, raw in enumerate(iter(lambda: file.readline(LONGEST + 1), b""), 1):
            if len(raw) > LONGEST:
                raise DataError(
                    f"{path}, line {number}, is longer than {LONGEST:,} bytes; needed a file of "
                    "lines: write it anew"
                )
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                looks = _OTHER_MARKS.get(raw[:2], "") if number == 1 else ""
                found = f"it begins as {looks} does" if looks else one_line(error)
                raise DataError(
                    f"{path}, line {number}, is not UTF-8 ({found}); save the file as UTF-8"
                ) from error
            if "\0" in text:
                raise DataError(
                    f"{path}, line {number}, holds a NUL byte; needed plain text: remove it"
                )
            yield number, text.removesuffix("\n").removesuffix("\r")


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of each line of a JSONL file; None for a blank line.

    Raises
    ------
    DataError
        If a line is not JSON, names a key twice, or holds half of a surrogate pair, which UTF-8
        cannot hold. Also as `read_lines`.
    """
    for number, text in read_lines(path):
        try:
            value = json.loads(text, object_pairs_hook=named_once) if text.strip() else None
            if "\\ud" in text.lower():
                json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{path}, line {number}, is no valid Unicode ({one_line(error)}); correct it"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}, is not JSON ({one_line(error)}); correct it"
            ) from error
        yield number, value


def read_json(path: Path) -> Any:
    """Read a JSON file as a whole; errors are those of `read_json_lines`, without a line."""
    try:
        return parse_json(read_whole(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({one_line(error)}); correct it") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` if one of the first 10,000 known names is similar, or ``""``."""
    close = difflib.get_close_matches(name, list(islice(known, 10_000)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def is_number(text: str) -> bool:
    """Whether a field of a text file is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
