"""Vectors in the formats of word2vec and GloVe: a name, then its numbers, a row each."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import BOM, is_number, opened, read_lines
from probe.text.vector_formats.arrays import Raw

_BREAKS = " \t\r\n"
_DIGITS = "%.9g"  # nine digits identify every float32, also when parsed as float64
_CHUNK = 4096  # rows that are held as one array each


def read_text(path: Path) -> Raw:
    """Read word2vec text, whose first line is ``n_rows n_features``, or GloVe text, without it.

    Rows are separated as the first one is, by a space or a tab. A name may contain spaces, as some
    of GloVe's do, unless its last word is a number: that is a row with a number too many.

    Raises
    ------
    DataError
        If a row has too few or too many numbers or is not UTF-8 (with its line), or if there are
        not as many rows as the first line says.
    """
    lines = ((number, text.rstrip(_BREAKS)) for number, text in read_lines(path))
    lines = ((number, text) for number, text in lines if text)
    number, first = next(lines, (0, ""))
    header = _header(first)
    if header is not None:
        number, first = next(lines, (0, ""))
    names: list[str] = []
    parts = []
    if number:
        separator = "\t" if "\t" in first else " "
        n_features = header[1] if header else _count_numbers(first.split(separator))
        rows: list[Float32] = []
        for place, text in chain([(number, first)], lines):
            name, row = _parse(path, place, text, separator, n_features)
            names.append(name)
            rows.append(row)
            if len(rows) == _CHUNK:
                parts.append(np.stack(rows))
                rows = []
        parts += [np.stack(rows)] if rows else []
    if header is not None and len(names) != header[0]:
        raise DataError(
            f"the first line of {path} says {header[0]} rows of {header[1]}; found {len(names)}: "
            "the file is truncated or was edited, so correct the number or write it anew"
        )
    if not names:
        raise DataError(f"{path} holds no vector; needed rows of a name and its numbers")
    return names, np.concatenate(parts)


def write_text(path: Path, names: Sequence[str], matrix: Float32, *, header: bool) -> None:
    """Write word2vec text (with header) or GloVe text; float32 come back bit for bit.

    Raises
    ------
    DataError
        If a name contains a space, tab or line break, which end a name in these formats.
    """
    refuse_names(names, _BREAKS, "word2vec and GloVe text")
    row = " ".join(["%s", *[_DIGITS] * matrix.shape[1]]) + "\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        if header:
            file.write(f"{len(names)} {matrix.shape[1]}\n")
        for name, numbers in zip(names, matrix, strict=True):
            file.write(row % (name, *numbers.tolist()))


def read_binary(path: Path) -> Raw:
    """Read word2vec's binary format, with or without a line break after each row.

    Raises
    ------
    DataError
        If the first line is not ``n_rows n_features``, the file is truncated or longer than that
        line says, or a name is not UTF-8.
    """
    with opened(path) as file:
        header = _header(file.readline(100).decode("latin-1"))
        if header is None:
            raise DataError(
                f"{path} does not begin with 'n_rows n_features', so it is no word2vec binary; a "
                "model of fastText or PyTorch is not read: save its vectors alone"
            )
        if 0 in header:
            raise DataError(f"the first line of {path} says {header[0]} rows of {header[1]}")
        (n_rows, n_features), start = header, file.tell()
        needed, size = n_rows * (2 + 4 * n_features), path.stat().st_size - start
        if size < needed:
            raise DataError(
                f"the first line of {path} says {n_rows} rows of {n_features}, which need at least "
                f"{needed} bytes, but {size} follow; the file is truncated: fetch it again"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_rows(path, data, start, n_rows, n_features)


def write_binary(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write word2vec's binary format, as gensim does; float32 come back bit for bit.

    Raises
    ------
    DataError
        If a name contains a space or a line break.
    """
    refuse_names(names, _BREAKS, "word2vec's binary format")
    with path.open("wb") as file:
        file.write(f"{len(names)} {matrix.shape[1]}\n".encode())
        for name, row in zip(names, matrix.astype("<f4", copy=False), strict=True):
            file.write(name.encode() + b" " + row.tobytes())


def refuse_names(names: Iterable[str], breaks: str, where: str) -> None:
    """Refuse names that a format cannot carry.

    Raises
    ------
    DataError
        With the first such name.
    """
    for name in names:
        if name.startswith(BOM) or any(mark in name for mark in breaks):
            raise DataError(
                f"{where} cannot hold the name {name!r}; export to .parquet, .jsonl, .npz or "
                ".safetensors"
            )


def _parse(
    path: Path, number: int, text: str, separator: str, n_features: int
) -> tuple[str, Float32]:
    """Split a line into its name and its numbers."""
    name, *fields = text.rsplit(separator, n_features)
    name = name.strip(_BREAKS)
    n_found = len(fields) + sum(map(is_number, name.split(separator)[1:]))
    try:
        if n_found != n_features:
            raise ValueError(f"has {n_found} numbers; needed {n_features}")
        with np.errstate(over="ignore"):  # an infinity is refused, with its row, by NamedVectors
            return name, np.fromiter(map(float, fields), np.float32, n_features)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}, {one_line(error)}; correct it or write the file anew"
        ) from error


def _read_rows(
    path: Path, data: mmap.mmap, position: int, n_rows: int, n_features: int
) -> tuple[list[str], Float32]:
    """Read the rows of a binary file; each begins where the one before ends."""
    names, width = [], 4 * n_features
    matrix = np.empty((n_rows, n_features), np.float32)
    for index in range(n_rows):
        start = data.find(b" ", position) + 1
        if not start or start + width > len(data):
            raise DataError(
                f"{path} is truncated: it says {n_rows} rows and ends within row {index + 1}; "
                "fetch it again"
            )
        try:
            names.append(data[position : start - 1].decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, row {index + 1}: its name is not UTF-8 ({one_line(error)}), or the first "
                "line gives another number of features than the rows have"
            ) from error
        matrix[index] = np.frombuffer(data[start : start + width], "<f4")
        position = start + width
        position += data[position : position + 1] == b"\n"
    if position != len(data):
        raise DataError(
            f"the first line of {path} says {n_rows} rows, but {len(data) - position} bytes follow "
            "the last of them; correct the number or write the file anew"
        )
    return names, matrix


def _header(line: str) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isascii() and field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _count_numbers(fields: Sequence[str]) -> int:
    """Count the numbers at the end of a row; its first field is always its name."""
    n_numbers = next((n for n, f in enumerate(fields[::-1]) if not is_number(f)), len(fields))
    return max(min(n_numbers, len(fields) - 1), 1)
