"""Parquet files that may come from a stranger: none is read that is huge in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CHUNK = 10_000
"""Rows that are in memory as Python objects at a time."""

_SMALL, _TIMES = 256 * 2**20, 200
"""Bytes that any file may take in memory, and how many times its size a larger one may."""
_CELL = 64  # bytes of a value as an object of Python


class BoundedParquet:
    """A Parquet file that is read within a bound of its size in memory.

    ``columns`` are those of numbers, of text, and of lists of numbers; others are left out. Text is
    read as dictionaries: one that a file repeats is in memory once until it is counted. Errors are
    those of pyarrow; a file beyond the bound raises `pyarrow.ArrowInvalid`.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        self.columns = [field.name for field in schema if _is_read(field.type)]
        self.texts = [name for name in self.columns if is_text_type(schema.field(name).type)]
        self._plain = {name for name in self.texts if not _is_dictionary(schema.field(name).type)}
        self._file = pq.ParquetFile(path, read_dictionary=self.texts, **options)
        self._most = max(_SMALL, _TIMES * path.stat().st_size)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield record batches of at most `CHUNK` rows, of some columns or all."""
        import pyarrow as pa

        n_bytes = self._stated()
        names = self.columns if columns is None else columns
        for batch in self._file.iter_batches(CHUNK, columns=names):
            n_bytes = self._checked(n_bytes + sum(map(_n_text_bytes, batch.columns)))
            columns = [self._decoded(*of) for of in zip(batch.columns, names, strict=True)]
            yield pa.record_batch(columns, names=names)

    def read(self) -> Any:
        """Read the whole table."""
        import pyarrow as pa

        n_bytes = self._stated()
        table = self._file.read(columns=self.columns)
        chunks = (chunk for column in table.columns for chunk in column.chunks)
        self._checked(n_bytes + sum(map(_n_text_bytes, chunks)))
        columns = [self._decoded(*of) for of in zip(table.columns, self.columns, strict=True)]
        return pa.table(columns, names=self.columns)

    def _decoded(self, column: Any, name: str) -> Any:
        import pyarrow.compute as pc

        return pc.dictionary_decode(column) if name in self._plain else column

    def _stated(self) -> int:
        """Bytes of all values and pages, as the file states them."""
        groups = map(self._file.metadata.row_group, range(self._file.metadata.num_row_groups))
        chunks = (group.column(place) for group in groups for place in range(group.num_columns))
        return self._checked(
            sum(_CELL * of.num_values + of.total_uncompressed_size for of in chunks)
        )

    def _checked(self, n_bytes: int) -> int:
        import pyarrow as pa

        if n_bytes > self._most:
            raise pa.ArrowInvalid(f"it unpacks to {n_bytes / 2**20:,.0f} MiB")
        return n_bytes


def is_text_type(kind: Any) -> bool:
    """Whether an Arrow type is text, plain or as categories."""
    import pyarrow as pa

    kind = kind.value_type if _is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_dictionary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind))


def _is_read(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_primitive(kind.value_type))
    return bool(pa.types.is_primitive(kind) or pa.types.is_null(kind) or is_text_type(kind))


def _n_text_bytes(column: Any) -> int:
    """Bytes of the text of an array, if it is a dictionary of text."""
    import pyarrow.compute as pc

    if not is_text_type(column.type):
        return 0
    lengths = pc.binary_length(column.dictionary).cast("int64")
    return int(pc.sum(pc.take(lengths, column.indices)).as_py() or 0)
