"""Rows of a user's file: a list, a CSV, TSV, JSONL or Parquet file."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import is_number, nearest, opened, read_json, read_json_lines, read_lines
from probe.io.parquet import CHUNK, columns_read, open_parquet

Row = tuple[str, Sequence[Any]]
"""Position of a row ("line 3"), and its values, one a column."""


@dataclass(frozen=True, eq=False)
class Records:
    """The rows of a file, to be iterated once."""

    path: Path
    columns: list[str]
    rows: Iterator[Row]
    texts: list[str]
    """Columns of text, by the first `CHUNK` rows."""

    @classmethod
    def read(cls, path: Path) -> Records:
        """Open a file with one of the `SUFFIXES`; a ``.csv`` has commas or semicolons.

        Raises
        ------
        DataError
            If the file cannot be read; a damaged row is refused when it is reached.
        """
        suffix = path.suffix.lower()
        if suffix not in _READERS:
            raise DataError(
                f"{path} is of no format that is read; needed a name that ends in "
                f"{', '.join(SUFFIXES)}"
            )
        columns, rows = _READERS[suffix](path)
        head = list(islice(rows, CHUNK))
        texts = [
            name for i, name in enumerate(columns) if any(_is_text(values[i]) for _, values in head)
        ]
        return cls(path, columns, chain(head, rows), texts)

    def column(self, wanted: str | None, *, known: Iterable[str], what: str) -> int:
        """Index of a column; see `choose_column`."""
        if self.path.suffix.lower() == ".txt":
            return 0
        is_text = {name: name in self.texts for name in self.columns}
        name = choose_column(self.path, is_text, wanted=wanted, known=known, what=what)
        return self.columns.index(name)


def choose_column(
    path: Path,
    columns: Mapping[str, bool],
    *,
    wanted: str | None,
    known: Iterable[str],
    what: str,
) -> str:
    """Choose a column: the wanted one, else the only one with a known name, else the only text.

    ``columns`` says of every column whether it is text; ``known`` are usual names in lower case;
    ``what`` names the content in messages, e.g. ``"the prompts"``.

    Raises
    ------
    DataError
        If the wanted column is missing, or none or several could be meant.
    """
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"{path} has no column {wanted!r}{nearest(wanted, columns)}; "
                f"its columns are {', '.join(columns)}"
            )
        return wanted
    texts = [name for name, is_text in columns.items() if is_text]
    named = [name for name in columns if name.lower() in set(known)]
    found = named if len(named) == 1 else texts
    if len(found) != 1:
        meant = f"any of {', '.join(named or texts)}" if texts else "none of its columns"
        raise DataError(
            f"{path} has the columns {', '.join(columns)}, and {what} could be in {meant}; "
            "name the column with --column (column= in Python)"
        )
    return found[0]


def _plain(path: Path) -> tuple[list[str], Iterator[Row]]:
    return ["prompt"], ((f"line {number}", (text,)) for number, text in read_lines(path))


def _separator(path: Path) -> str:
    """Separator of a ``.csv`` by its first line."""
    _, first = next(read_lines(path), (1, ""))
    return ";" if first.count(";") > first.count(",") else ","


def _delimited(path: Path, delimiter: str) -> tuple[list[str], Iterator[Row]]:
    lines = (text + "\n" for _, text in read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records = _records(path, reader)
    _, header = next(records, ("line 1", []))
    columns = [name or f"column_{number}" for number, name in enumerate(header, 1)]
    if len(set(columns)) < len(columns):
        repeated = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{path}, line 1, names the column {repeated!r} twice; rename one of them")
    other = next((mark for mark in ",;\t" if mark != delimiter and mark in "".join(columns)), None)
    if len(columns) == 1 and other:
        raise DataError(
            f"{path}, line 1, has one column, {columns[0]!r}, which looks separated by {other!r}; "
            f"needed {delimiter!r}: save it as .csv with commas or as .tsv with tabs"
        )
    return columns, _of_one_width(path, columns, records)


def _records(path: Path, reader: Any) -> Iterator[Row]:
    """Records of a csv reader with their positions."""
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}, is damaged ({one_line(error)}); correct it"
            ) from error
        yield f"line {reader.line_num}", record


def _of_one_width(path: Path, columns: list[str], records: Iterator[Row]) -> Iterator[Row]:
    nothing = [None] * len(columns)
    for place, record in records:
        if record and len(record) != len(columns):
            raise DataError(
                f"{path}, {place}, has {len(record)} fields; needed {len(columns)} "
                f"({', '.join(columns)}): put quotes around a field that holds a separator"
            )
        yield place, record or nothing


def _objects(
    path: Path, read: Callable[[Path], Iterator[tuple[str, Any]]]
) -> tuple[list[str], Iterator[Row]]:
    """Rows of a file of JSON objects; its columns are those of its first `CHUNK` rows."""
    records = _json_records(path, read(path))
    head = list(islice(records, CHUNK))
    columns = list(dict.fromkeys(name for _, record in head for name in record))
    return columns, (
        (place, [record.get(name) for name in columns]) for place, record in chain(head, records)
    )


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    return ((f"line {number}", value) for number, value in read_json_lines(path))


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    """Items of a JSON file that holds one list."""
    if not isinstance(found := read_json(path), list):
        raise DataError(
            f"{path} is a JSON {type(found).__name__}; needed a list of objects, one a row"
        )
    return ((f"item {number}", value) for number, value in enumerate(found, 1))


def _json_records(
    path: Path, values: Iterator[tuple[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, value in values:
        record = {"prompt": value} if isinstance(value, str) else {} if value is None else value
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, {place}, is a JSON {type(record).__name__}; needed an object or a string"
            )
        yield place, record


def _parquet(path: Path) -> tuple[list[str], Iterator[Row]]:
    columns = list(parquet_columns(path))
    return columns, parquet_rows(path, columns)


def parquet_columns(path: Path) -> dict[str, bool]:
    """Whether each column of a user's Parquet file is text, of those that are read."""
    import pyarrow.parquet as pq

    with _parquet_errors(path):
        return columns_read(pq.read_schema(path))


def parquet_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    """Yield the rows of some columns of a Parquet file, `CHUNK` rows at a time."""
    number = 0
    with _parquet_errors(path), open_parquet(path) as file:
        for batch in file.iter_batches(CHUNK, columns=columns):
            for values in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                yield f"row {(number := number + 1)}", values


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    """Raise `DataError` for a file that is damaged, or huge in memory."""
    import pyarrow as pa

    with opened(path):
        pass
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is not Parquet, or is damaged ({one_line(error)}); write it anew"
        ) from error


_READERS: dict[str, Callable[[Path], tuple[list[str], Iterator[Row]]]] = {
    ".txt": _plain,
    ".csv": lambda path: _delimited(path, _separator(path)),
    ".tsv": lambda path: _delimited(path, "\t"),
    ".jsonl": lambda path: _objects(path, _json_lines),
    ".json": lambda path: _objects(path, _json_list),
    ".parquet": _parquet,
}

SUFFIXES = tuple(_READERS)
"""Suffixes of files of rows."""


def text_of(value: object) -> str:
    """What a field says: nothing for null and NaN, whole numbers without a point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not is_number(value)
