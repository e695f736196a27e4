"""JSON and TOML of users; errors name the place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import read_lines

_TOO_DEEP = "it is nested too deeply to be read"


def parse_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises
    ------
    ValueError
        If it is invalid, or nested too deeply for Python's parser.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of each line of a JSONL file; None for a blank line.

    Raises
    ------
    DataError
        If a line is not JSON, or holds half of a surrogate pair, which UTF-8 cannot hold; with its
        number. Also as `read_lines`.
    """
    for number, text in read_lines(path):
        try:
            value = parse_json(text) if text.strip() else None
            if "\\ud" in text.lower():
                json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{path}, line {number}, is no valid Unicode ({one_line(error)}); correct it"
            ) from error
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}, is not JSON ({one_line(error)}); correct it"
            ) from error
        yield number, value


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises
    ------
    tomllib.TOMLDecodeError
        If it is invalid, or nested too deeply for Python's parser.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError(_TOO_DEEP) from error
