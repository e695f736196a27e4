"""Vectors as a column of lists beside a column of names: Parquet and JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.parsing import read_json_lines
from probe.io.records import choose_column, is_text_type, reading_parquet
from probe.text.vector_formats.arrays import Raw

NAME_NAMES = ("name", "names", "word", "words", "text", "texts", "sentence", "sentences", "prompt")
"""Usual names of a column of names."""

VECTOR_NAMES = ("embedding", "embeddings", "vector", "vectors")
"""Usual names of a column of vectors."""

_DIGITS = "%.8e"  # nine digits, and an exponent, for JSON reads -0 as the integer 0


def read_parquet(path: Path, *, column: str | None = None) -> Raw:
    """Read a table with one column of float lists, as pandas and datasets write them.

    Raises
    ------
    DataError
        If the file is damaged, a list is missing or of another length than the first (with its
        row), or it is not clear which columns are meant.
    """
    import pyarrow as pa

    with reading_parquet(path) as file:
        is_text = {f.name: is_text_type(f.type) for f in file.schema_arrow}
        vector = _vector_column(path, {f.name for f in file.schema_arrow if _is_float_list(f.type)})
        name = _name_column(path, is_text, column)
        table = file.read([vector] if name is None else [vector, name])
    if not table.num_rows:
        raise DataError(f"{path} holds no rows; needed at least one vector")
    lists = table[vector].combine_chunks()
    if pa.types.is_fixed_size_list(lists.type):
        lists = lists.cast(pa.list_(lists.type.value_type))
    matrix = _matrix_of(path, lists)
    return None if name is None else _present(path, table[name].to_pylist()), matrix


def write_parquet(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write ``name`` and ``vector``, a list of fixed size; float32 come back bit for bit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    pq.write_table(pa.table({"name": pa.array(names, pa.string()), "vector": lists}), path)


def read_jsonl(path: Path, *, column: str | None = None) -> Raw:
    """Read objects with a string and a list of numbers, one a line.

    Raises
    ------
    DataError
        If a line is no such object or its list is of another length than the first (with its
        number), or it is not clear which keys are meant.
    """
    records = _objects(path)
    line, first = next(records, (0, {}))
    if not line:
        raise DataError(f"{path} holds no rows; needed at least one vector")
    vector = _vector_column(path, {key for key, value in first.items() if isinstance(value, list)})
    name = _name_column(path, {k: isinstance(v, str) for k, v in first.items()}, column)
    n_features = len(first[vector])
    names, rows = [], []
    for number, record in chain([(line, first)], records):
        found = record.get(vector)
        if not isinstance(found, list) or len(found) != n_features:
            shown = f"{len(found)} numbers" if isinstance(found, list) else "no list"
            raise DataError(
                f"{path}, line {number}, has {shown} in {vector!r}; needed {n_features} numbers"
            )
        if not all(type(value) in (int, float) for value in found):
            raise DataError(f"{path}, line {number}, has more than numbers in {vector!r}")
        if name is not None:
            if not isinstance(record.get(name), str):
                raise DataError(f"{path}, line {number}, has no text in {name!r}; needed a name")
            names.append(record[name])
        with np.errstate(over="ignore"):  # an infinity is refused, with its row, by NamedVectors
            rows.append(np.array(found, dtype=np.float64).astype(np.float32))
    return None if name is None else names, np.stack(rows)


def write_jsonl(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write ``name`` and ``vector``; float32 come back bit for bit."""
    row = '{"name": %s, "vector": [' + ", ".join([_DIGITS] * matrix.shape[1]) + "]}\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for name, numbers in zip(names, matrix, strict=True):
            file.write(row % (json.dumps(name), *numbers.tolist()))


def _objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, record in read_json_lines(path):
        if isinstance(record, dict):
            yield number, record
        elif record is not None:
            raise DataError(f"{path}, line {number}, is no JSON object; needed name and vector")


def _vector_column(path: Path, lists: set[str]) -> str:
    named = [name for name in sorted(lists) if name.lower() in VECTOR_NAMES]
    found = named if len(named) == 1 else sorted(lists)
    if len(found) != 1:
        raise DataError(
            f"{path} has {len(found)} columns of number lists ({', '.join(found) or 'none'}); "
            f"needed one: call the one that is meant {VECTOR_NAMES[0]!r}"
        )
    return found[0]


def _name_column(path: Path, is_text: Mapping[str, bool], column: str | None) -> str | None:
    if column is None and not any(is_text.values()):
        return None
    return choose_column(path, is_text, wanted=column, known=NAME_NAMES, what="the names")


def _matrix_of(path: Path, lists: Any) -> npt.NDArray[Any]:
    """The matrix of a column of lists, if all are as long as the first."""
    n_numbers = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (wrong := (n_numbers != n_numbers[0]) | (n_numbers < 0)).any():
        row = int(wrong.argmax())
        shown = "no list" if n_numbers[row] < 0 else f"{n_numbers[row]} numbers"
        raise DataError(
            f"{path}, row {row + 1}, has {shown}; needed {n_numbers[0]} numbers as in the first row"
        )
    values = lists.flatten()
    if values.null_count:
        row = int(values.is_valid().to_numpy(zero_copy_only=False).argmin()) // int(n_numbers[0])
        raise DataError(f"{path}, row {row + 1}, lacks a number; fill or drop the row")
    matrix: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    return matrix


def _present(path: Path, names: list[str | None]) -> list[str]:
    if None in names:
        raise DataError(f"{path}, row {names.index(None) + 1}, has no name; fill or drop the row")
    return [name for name in names if name is not None]


def _is_float_list(kind: Any) -> bool:
    import pyarrow as pa

    is_list: bool = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and bool(pa.types.is_floating(kind.value_type))
