"""Vectors as word2vec and GloVe write them: a name, then its numbers, a row each."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import BOM, is_number, opened, read_lines
from probe.text.vector_formats.arrays import Raw

_BREAKS = " \t\r\n"
_DIGITS = "%.9g"  # nine digits tell all float32 apart, also when they are parsed as float64


def read_text(path: Path) -> Raw:
    """Read word2vec text, whose first line says ``n_rows n_features``, or GloVe text, without it.

    Numbers are float32. Rows are separated as the first one is, by a space or a tab. A name may
    hold spaces, as some of GloVe's do, unless its last word is a number: that is a row with a
    number too many.

    Raises
    ------
    DataError
        If a row has too few or too many numbers or is not UTF-8 (with its line), or if there are
        not as many rows as the first line says.
    """
    with opened(path) as file:
        first = _decoded(path, file.readline())
        header = _header(first)
        if header is not None:
            first = _decoded(path, file.readline())
    row = _Row(first, header[1] if header else None)
    names, matrix = _read_rows(path, row, n_skipped=int(header is not None))
    if header is not None and len(names) != header[0]:
        raise DataError(
            f"the first line of {path} says {header[0]} rows of {header[1]}; found {len(names)}: "
            "the file is truncated or was edited, so correct the number or write it anew"
        )
    if not names:
        raise DataError(f"{path} holds no vector; needed rows of a name and its numbers")
    return names, matrix


def write_text(path: Path, names: Sequence[str], matrix: Float32, *, header: bool) -> None:
    """Write word2vec text (with header) or GloVe text; float32 come back bit for bit.

    Raises
    ------
    DataError
        If a name holds a space, tab or line break, which end a name in these formats.
    """
    refuse_names(names, _BREAKS, "word2vec and GloVe text")
    row = " ".join(["%s", *[_DIGITS] * matrix.shape[1]]) + "\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        if header:
            file.write(f"{len(names)} {matrix.shape[1]}\n")
        for start in range(0, len(names), 1000):
            rows = matrix[start : start + 1000].tolist()
            part = zip(names[start : start + 1000], rows, strict=True)
            file.write("".join([row % (name, *numbers) for name, numbers in part]))


def read_binary(path: Path) -> Raw:
    """Read word2vec's binary format, with or without a line break after each row.

    Raises
    ------
    DataError
        If the first line is not ``n_rows n_features``, the file is truncated, more stands in it
        than that line says, or a name is not UTF-8.
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
            names, places = _walk(path, data, start, n_rows, 4 * n_features)
            return names, _gather(data, places, 4 * n_features)


def write_binary(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write word2vec's binary format, as gensim does; float32 come back bit for bit.

    Raises
    ------
    DataError
        If a name holds a space or begins with a line break.
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


class _Row:
    """How a row is taken apart: known from the first one."""

    def __init__(self, first: str, n_features: int | None) -> None:
        text = first.rstrip("\r\n")
        self.n_characters = len(text)
        self.delimiter = "\t" if "\t" in text else " "
        self.has_end = text.endswith(self.delimiter)  # word2vec's own tool ends rows so
        fields = text.rstrip(_BREAKS).split(self.delimiter)
        n_numbers = next((n for n, f in enumerate(fields[::-1]) if not is_number(f)), len(fields))
        self.n_features = n_features or max(min(n_numbers, len(fields) - 1), 1)

    def parse(self, text: str) -> tuple[str, list[float]]:
        """Split a row; the `ValueError` says what is wrong with it."""
        name, *numbers = text.rstrip(_BREAKS).rsplit(self.delimiter, self.n_features)
        n_names = name.strip(_BREAKS).split(self.delimiter)
        found = len(numbers) + sum(map(is_number, n_names[1:]))
        if found != self.n_features:
            raise ValueError(f"has {found} numbers; needed {self.n_features}")
        return name.strip(_BREAKS), [_number(text) for text in numbers]


def _read_rows(path: Path, row: _Row, *, n_skipped: int) -> tuple[list[str], Float32]:
    """Parse all rows with Arrow, and those that it cannot split on their own."""
    import pyarrow as pa
    import pyarrow.csv as pv

    odd: dict[int, str] = {}

    def keep(found: Any) -> str:
        odd[found.number - 1 - n_skipped] = found.text
        return "skip"

    wanted: dict[str, Any] = {"name": pa.string()}
    wanted |= {str(column): pa.float32() for column in range(row.n_features)}
    names: list[str] = []
    parts = [np.empty((0, row.n_features), np.float32)]
    try:
        batches = pv.open_csv(
            path,
            # One thread: only then does Arrow number the rows that it hands over.
            read_options=pv.ReadOptions(
                use_threads=False,
                block_size=max(1 << 20, 16 * row.n_characters),  # a block holds whole rows
                column_names=[*wanted, *["end"] * row.has_end],
                skip_rows=n_skipped,
            ),
            parse_options=pv.ParseOptions(
                delimiter=row.delimiter, quote_char=False, invalid_row_handler=keep
            ),
            convert_options=pv.ConvertOptions(
                column_types=wanted, include_columns=list(wanted), null_values=[]
            ),
        )
        for batch in batches:
            names += batch.column(0).to_pylist()
            parts.append(np.column_stack([column.to_numpy() for column in batch.columns[1:]]))
        others = [row.parse(text) for text in odd.values()]
    except (ValueError, UnicodeDecodeError) as error:  # Arrow's own errors are ValueErrors
        raise _diagnosis(path, row, n_skipped, error) from error
    matrix = np.concatenate(parts)
    if not others:
        return names, matrix
    places = np.fromiter(odd, dtype=np.intp)
    is_odd = np.zeros(len(names) + len(others), dtype=bool)
    is_odd[places] = True
    whole = np.empty((len(is_odd), row.n_features), np.float32)
    whole[~is_odd], whole[places] = matrix, [numbers for _, numbers in others]
    mixed = np.empty(len(is_odd), dtype=object)
    mixed[~is_odd], mixed[places] = names, [name for name, _ in others]
    return mixed.tolist(), whole


def _diagnosis(path: Path, row: _Row, n_skipped: int, error: Exception) -> DataError:
    """Find the line that could not be read."""
    for number, text in read_lines(path):
        if number <= n_skipped or not text:
            continue
        try:
            row.parse(text)
        except ValueError as found:
            return DataError(f"{path}, line {number}, {found}; correct it or write the file anew")
    return DataError(f"{path} cannot be read ({one_line(error)}); write it anew")


def _walk(
    path: Path, data: mmap.mmap, start: int, n_rows: int, width: int
) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Find every name and the place of its numbers; each row begins where the last one ends."""
    names, places, position = [], np.empty(n_rows, np.intp), start
    for index in range(n_rows):
        space = data.find(b" ", position)
        if space < 0 or space + 1 + width > len(data):
            raise DataError(
                f"{path} is truncated: it says {n_rows} rows and ends within row {index + 1}; "
                "fetch it again"
            )
        try:
            names.append(data[position:space].decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, row {index + 1}: its name is not UTF-8 ({one_line(error)}), or the first "
                "line gives another number of features than the rows have"
            ) from error
        places[index] = space + 1
        position = space + 1 + width
        position += data[position : position + 1] == b"\n"
    if position != len(data):
        raise DataError(
            f"the first line of {path} says {n_rows} rows, but {len(data) - position} bytes follow "
            "the last of them; correct the number or write the file anew"
        )
    return names, places


def _gather(data: mmap.mmap, places: npt.NDArray[np.intp], width: int) -> Float32:
    every = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), width)
    return every[places].view("<f4").astype(np.float32, copy=False)


def _header(line: str) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isascii() and field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        for _ in read_lines(path):  # says which line it is
            pass
        raise


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"has {text!r} where a number was needed") from None
