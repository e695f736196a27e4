"""Parquet files that may come from a stranger: none is read that is huge in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 10_000
"""Rows that are in memory as Python objects at a time."""

_SMALL, _TIMES = 256 * 2**20, 200
"""Bytes that any file may take in memory, and how many times its size a larger one may."""
_CELL = 64  # bytes of a value as an object of Python


def columns_read(schema: Any) -> dict[str, bool]:
    """Whether each column is text, of those of numbers, of text, and of lists of numbers."""
    return {field.name: _is_text(field.type) for field in schema if _is_read(field.type)}


def open_parquet(path: Path, **options: Any) -> Any:
    """Open a `pyarrow.parquet.ParquetFile` of which `columns_read` are safe to read.

    Errors are those of pyarrow; a file that is huge in memory raises `pyarrow.ArrowInvalid`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, **options)
    most = max(_SMALL, _TIMES * path.stat().st_size)
    for n_bytes in _sizes(path, file):
        if n_bytes > most:
            raise pa.ArrowInvalid(f"it unpacks to {n_bytes / 2**20:,.0f} MiB")
    return file


def _sizes(path: Path, file: Any) -> Iterator[int]:
    """Bytes of values and pages, as the file states them; then with the text of more and more rows.

    Text is read as dictionaries: a long one that the file repeats is there once.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    yield (n_bytes := sum(_CELL * of.num_values + of.total_uncompressed_size for of in chunks))
    texts = [name for name, is_text in columns_read(file.schema_arrow).items() if is_text]
    if not texts:
        return
    for batch in pq.ParquetFile(path, read_dictionary=texts).iter_batches(CHUNK, columns=texts):
        for column in batch.columns:
            lengths = pc.binary_length(column.dictionary).cast("int64")
            n_bytes += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
        yield n_bytes


def _is_text(kind: Any) -> bool:
    """Whether an Arrow type is text, plain or as categories."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_read(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_primitive(kind.value_type))
    return bool(pa.types.is_primitive(kind) or pa.types.is_null(kind) or _is_text(kind))
