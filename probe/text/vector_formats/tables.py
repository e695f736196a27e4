"""Vectors as a column of lists beside a column of text: Parquet and JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import opened, read_lines
from probe.io.parsing import parse_json
from probe.io.records import choose_column
from probe.text.vector_formats.arrays import Raw

NAME_NAMES = ("name", "names", "word", "words", "text", "texts", "sentence", "sentences", "prompt")
"""Names that a column of names usually has."""

VECTOR_NAMES = ("embedding", "embeddings", "vector", "vectors")
"""Names that a column of vectors usually has."""

_CHUNK = 1000
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
    import pyarrow.parquet as pq

    with opened(path):
        pass
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            is_text = {f.name: pa.types.is_string(_plain(f.type)) for f in schema}
            lists = {f.name for f in schema if _is_float_list(f.type)}
            vector = _vector_column(path, lists)
            name = _name_column(path, is_text, column)
            wanted = [vector] if name is None else [vector, name]
            names: list[str | None] = []
            parts: list[npt.NDArray[Any]] = []
            for batch in file.iter_batches(10_000, columns=wanted):
                parts.append(_rows(path, batch[vector], sum(map(len, parts)), parts))
                names += [] if name is None else batch[name].to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is damaged or not Parquet ({one_line(error)}); write it anew"
        ) from error
    if not parts:
        raise DataError(f"{path} holds no rows; needed at least one vector")
    return (None if name is None else _present(path, names)), np.concatenate(parts)


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
    records = _records(path)
    head = list(islice(records, 1))
    if not head:
        raise DataError(f"{path} holds no rows; needed at least one vector")
    first = head[0][1]
    is_text = {key: isinstance(value, str) for key, value in first.items()}
    vector = _vector_column(path, {key for key, value in first.items() if isinstance(value, list)})
    name = _name_column(path, is_text, column)
    n_features = len(first[vector])
    names, parts = [], []
    rows = chain(head, records)
    while chunk := list(islice(rows, _CHUNK)):
        for number, record in chunk:
            found = record.get(vector)
            if not isinstance(found, list) or len(found) != n_features:
                shown = f"{len(found)} numbers" if isinstance(found, list) else "no list"
                raise DataError(
                    f"{path}, line {number}, has {shown} in {vector!r}; needed {n_features} numbers"
                )
            if not all(type(value) in (int, float) for value in found):
                raise DataError(f"{path}, line {number}, has more than numbers in {vector!r}")
            if name is not None and not isinstance(record.get(name), str):
                raise DataError(f"{path}, line {number}, has no text in {name!r}; needed a name")
            names.append(record[name] if name is not None else "")
        with np.errstate(over="ignore"):  # an infinity is refused, with its row, by the caller
            parts.append(np.array([r[vector] for _, r in chunk], np.float64).astype(np.float32))
    return (None if name is None else names), np.concatenate(parts)


def write_jsonl(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write ``name`` and ``vector``; float32 come back bit for bit."""
    row = '{"name": %s, "vector": [' + ", ".join([_DIGITS] * matrix.shape[1]) + "]}\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(names), _CHUNK):
            rows = matrix[start : start + _CHUNK].tolist()
            part = zip(names[start : start + _CHUNK], rows, strict=True)
            file.write("".join([row % (json.dumps(name), *numbers) for name, numbers in part]))


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, text in read_lines(path):
        if not text.strip():
            continue
        try:
            record = parse_json(text)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}, is not JSON ({one_line(error)}); correct it"
            ) from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}, is no JSON object; needed name and vector")
        yield number, record


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


def _rows(path: Path, column: Any, n_before: int, parts: list[Any]) -> npt.NDArray[Any]:
    """One chunk of lists as a matrix, if all are as long as the first of the file."""
    import pyarrow as pa

    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    if lengths is None:  # a list of fixed size
        lengths = pa.array(np.full(len(column), column.type.list_size))
    found = lengths.to_numpy(zero_copy_only=False)
    missing = ~column.is_valid().to_numpy(zero_copy_only=False)
    width = parts[0].shape[1] if parts else found[0]
    if (wrong := missing | (found != width)).any():
        index = int(wrong.argmax())
        shown = "no list" if missing[index] else f"{found[index]:.0f} numbers"
        raise DataError(
            f"{path}, row {n_before + index + 1}, has {shown}; needed {width:.0f} numbers as in "
            "the first row"
        )
    values = column.flatten()
    if values.null_count:
        place = int(values.is_valid().to_numpy(zero_copy_only=False).argmin()) // int(width)
        raise DataError(f"{path}, row {n_before + place + 1}, lacks a number; fill or drop the row")
    matrix: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return matrix


def _present(path: Path, names: list[str | None]) -> list[str]:
    if None in names:
        raise DataError(f"{path}, row {names.index(None) + 1}, has no name; fill or drop the row")
    return [name for name in names if name is not None]


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.string() if pa.types.is_large_string(kind) else kind


def _is_float_list(kind: Any) -> bool:
    import pyarrow as pa

    is_list: bool = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and bool(pa.types.is_floating(kind.value_type))
