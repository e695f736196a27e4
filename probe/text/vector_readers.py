"""Readers of named vectors, one a format: the names, and the matrix in the file's own type."""

import json
import mmap
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import is_number, opened, read_lines
from probe.io.records import Records

NAME_COLUMNS = (
    "name",
    "names",
    "word",
    "words",
    "text",
    "texts",
    "sentence",
    "sentences",
    "prompt",
)
"""Usual names of a column of names."""

_VECTOR_COLUMNS = ("embedding", "embeddings", "vector", "vectors")

_SMALL, _TIMES = 64 * 2**20, 20
"""Bytes that any compressed file may unpack to, and how many times its size a larger one may."""
_DAMAGES = (ValueError, EOFError, OSError, OverflowError, MemoryError, tokenize.TokenError)
_UNKNOWN = (TypeError, AttributeError)  # what numpy raises for bfloat16, and for four bits

Raw = tuple[list[str] | None, npt.NDArray[Any]]
"""Names, if the file has them, and the matrix of shape (n_rows, n_features)."""


def read_npy(path: Path) -> Raw:
    """Map an ``.npy`` file; it has no names."""
    with opened(path), np.errstate(over="ignore"):
        try:
            return None, np.lib.format.open_memmap(path, mode="r")
        except _DAMAGES as error:
            raise _damaged(path, error) from error


def read_npz(path: Path) -> Raw:
    """Read the only float matrix of an ``.npz`` file, and its list of strings if it has one."""
    with opened(path) as file:
        try:
            with np.load(file, allow_pickle=False) as members:
                n_bytes = sum(member.file_size for member in members.zip.infolist())
                if n_bytes > max(_SMALL, _TIMES * path.stat().st_size):
                    raise ValueError(f"it unpacks to {n_bytes / 2**20:,.0f} MiB")
                arrays = dict(members)
        except (*_DAMAGES, *_UNKNOWN, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, error) from error
    names = [array.tolist() for array in arrays.values() if array.dtype.kind == "U"]
    return names[0] if len(names) == 1 else None, _only_matrix(path, arrays)


def read_safetensors(path: Path) -> Raw:
    """Read the only float matrix; names are a JSON list in the metadata ``names``."""
    from safetensors import SafetensorError, safe_open

    with opened(path):
        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                names = json.loads((file.metadata() or {}).get("names", "null"))
        except (SafetensorError, OSError, *_UNKNOWN, ValueError) as error:
            raise _damaged(path, error) from error
    return names if isinstance(names, list) else None, _only_matrix(path, arrays)


def read_table(path: Path, column: str | None = None, *, wants_names: bool = True) -> Raw:
    """Read a column of number lists, and the names in a column of text if there is one."""
    table = Records.read(path)
    rows = ((place, row) for place, row in table.rows if any(value is not None for value in row))
    head = next(rows, None)
    if head is None:
        raise DataError(f"{path} holds no rows; needed at least one vector")
    lists = [i for i, value in enumerate(head[1]) if isinstance(value, list)]
    named = [i for i in lists if table.columns[i].lower() in _VECTOR_COLUMNS]
    lists = named if len(named) == 1 else lists
    if len(lists) != 1:
        raise DataError(
            f"{path} has {len(lists)} columns of number lists; needed one: call the one that is "
            f"meant {_VECTOR_COLUMNS[0]!r}"
        )
    is_named = not set(NAME_COLUMNS).isdisjoint(name.lower() for name in table.columns)
    has_names = wants_names and (column is not None or is_named or bool(table.texts))
    place_of_names = table.column(column, known=NAME_COLUMNS, what="the names") if has_names else 0
    n_features = len(head[1][lists[0]])
    names, numbers = [], []
    for place, row in chain([head], rows):
        try:
            with np.errstate(over="ignore"):  # an infinity is refused, with its row, later
                found = np.array(row[lists[0]], dtype=np.float64).astype(np.float32)
        except (TypeError, ValueError):
            found = np.empty(0, np.float32)
        if found.shape != (n_features,):
            raise DataError(
                f"{path}, {place}, has no list of {n_features} numbers, as the first row has; "
                "correct it"
            )
        numbers.append(found)
        names.append("" if row[place_of_names] is None else str(row[place_of_names]))
    return names if has_names else None, np.stack(numbers)


def read_text(path: Path) -> Raw:
    """Read word2vec text, whose first line is ``n_rows n_features``, or GloVe text, without it.

    Rows are separated as the first one is, by a space or a tab. A name may contain spaces, as some
    of GloVe's do, unless its last word is a number: that is a row with a number too many.
    """
    names: list[str] = []
    numbers, separator = array("f"), ""
    header, n_features = None, 0
    for number, line in read_lines(path):
        if not (text := line.rstrip(" \t\r\n")):
            continue
        if not names and header is None and (header := _header(text)):
            n_features = header[1]
            continue
        separator = separator or ("\t" if "\t" in text else " ")
        n_features = n_features or _count_numbers(text.split(separator))
        name, *fields = text.rsplit(separator, n_features)
        n_found = len(fields) + (separator in name and is_number(name.rsplit(separator)[-1]))
        try:
            if n_found != n_features:
                raise ValueError(f"has {n_found} numbers; needed {n_features}")
            numbers.extend(map(float, fields))
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}, {one_line(error)}; correct it or write the file anew"
            ) from error
        names.append(name)
    if not names or (header and len(names) != header[0]):
        needed = f"{header[0]} rows, as its first line says" if header else "at least one"
        raise DataError(f"{path} holds {len(names)} vectors; needed {needed}: write it anew")
    return names, np.frombuffer(numbers, np.float32).reshape(len(names), n_features)


def read_binary(path: Path) -> Raw:
    """Read word2vec's binary format, with or without a line break after each row."""
    with opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = data.readline()
        header = _header(first[:100].decode("latin-1"))
        if header is None or 0 in header:
            raise DataError(
                f"{path} does not begin with 'n_rows n_features', so it is no word2vec binary; a "
                "model of fastText or PyTorch is not read: save its vectors alone"
            )
        n_rows, n_features = header
        names: list[str] = []
        numbers, position = bytearray(), len(first)
        while len(names) < n_rows:
            start = data.find(b" ", position) + 1
            position, begun = start + 4 * n_features, position
            if not start or position > len(data):
                raise DataError(
                    f"{path} is truncated: it says {n_rows} rows and ends within row "
                    f"{len(names) + 1}; fetch it again"
                )
            try:
                names.append(data[begun : start - 1].decode().removeprefix("\n"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, row {len(names) + 1}: its name is not UTF-8 ({one_line(error)}); "
                    "save the vectors as text"
                ) from error
            numbers += data[start:position]
    return names, np.frombuffer(numbers, "<f4").reshape(n_rows, n_features)


def _only_matrix(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    found = [name for name, array in arrays.items() if array.dtype.kind == "f" and array.ndim > 1]
    if len(found) != 1:
        raise DataError(f"{path} holds the float matrices {sorted(found)}; needed exactly one")
    return arrays[found[0]]


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is truncated, damaged, or holds pickled objects or other numbers than float16, "
        f"float32 and float64 ({one_line(error)}); a pickle runs code of its author when it is "
        "opened, so none is ever opened here: save numbers as float32 and names as strings "
        "(np.array(names, dtype=str))"
    )


def _count_numbers(fields: Sequence[str]) -> int:
    """Count the numbers at the end of a row; its first field is always its name."""
    n_numbers = sum(1 for _ in takewhile(is_number, fields[::-1]))
    return max(min(n_numbers, len(fields) - 1), 1)


def _header(line: str) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isascii() and field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


READERS: dict[str, Callable[[Path], Raw]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
    ".parquet": read_table,
    ".jsonl": read_table,
    ".txt": read_text,
    ".vec": read_text,
    ".bin": read_binary,
}
