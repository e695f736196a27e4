"""Read and write named vectors in common formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError, OptionError
from probe.io.files import atomic
from probe.io.lines import read_lines
from probe.io.records import SUFFIXES, Records
from probe.text.vector_formats import arrays, tables, word2vec
from probe.text.vectors import NamedVectors, listed, zero_rows

_FORMAT_OF: Mapping[str, str] = {
    ".npy": "npy",
    ".npz": "npz",
    ".safetensors": "safetensors",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".txt": "word2vec",
    ".vec": "word2vec",
    ".bin": "word2vec-binary",
}
FORMATS = (*dict.fromkeys(_FORMAT_OF.values()), "glove")
"""Names of the formats."""

_READERS = {
    "npy": arrays.read_npy,
    "npz": arrays.read_npz,
    "safetensors": arrays.read_safetensors,
    "word2vec": word2vec.read_text,
    "glove": word2vec.read_text,
    "word2vec-binary": word2vec.read_binary,
}
_TABLE_READERS = {"parquet": tables.read_parquet, "jsonl": tables.read_jsonl}

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def read_vectors(
    path: str | Path,
    *,
    names: str | Path | Sequence[str] | None = None,
    column: str | None = None,
    format: str | None = None,
) -> NamedVectors:
    """Read vectors with their names.

    ============================ ==================================================================
    ``.npy``                     one matrix, memory-mapped; names from ``names``, else from the file
                                 ``STEM.names.txt`` beside it
    ``.npz``                     one float matrix, and names as one array of strings
    ``.safetensors``             one matrix, memory-mapped; names as a JSON list in its metadata
                                 ``names``
    ``.parquet``, ``.jsonl``     a column of number lists and one of text (sentence-transformers,
                                 datasets, pandas)
    ``.txt``, ``.vec``           word2vec text, or GloVe text, which has no header line
    ``.bin``                     word2vec binary
    ============================ ==================================================================

    float16, bfloat16 and float64 become float32. A row whose name and numbers repeat an earlier one
    is dropped. Zero rows are kept. The notes of the result say all three. Pickled files are
    refused.

    Parameters
    ----------
    path : path
    names : path or sequence of str, optional
        Names of the rows, where the file has none: a list, a file with one name a line, or a table
        (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) with a column of names.
    column : str, optional
        Column of the names, in the table or in the file of names, if several could be meant.
    format : str, optional
        One of `FORMATS`, where the suffix of the file is another.

    Raises
    ------
    DataError
        If the file cannot be read, has NaN or infinity (with row and name), a repeated name with
        different rows, ragged rows (with the line), or names and rows that do not match.
    ShapeError
        If the array is no matrix, or has no rows.
    DegenerateDataError
        If the rows have one feature only.
    ValueError
        If the format is unknown.
    """
    path = Path(path)
    kind = _format(path, format)
    is_table = kind in _TABLE_READERS
    if column is not None and not is_table and (names is None or not isinstance(names, str | Path)):
        raise OptionError(f"column is {column!r}, but no table is read; leave it out")
    if is_table:
        found, matrix = _TABLE_READERS[kind](path, column=column if names is None else None)
    else:
        found, matrix = _READERS[kind](path)
    if names is None and found is None:
        beside = _names_beside(path)
        if not beside.is_file():
            raise DataError(
                f"{path} holds no names, and there is no {beside.name} beside it; give a file with "
                "one name a line with --names (names= in Python)"
            )
        names = beside
    if isinstance(names, str | Path):
        names = _read_names(Path(names), column)
    labels = list(found or () if names is None else names)
    return _checked(labels, matrix, path.name)


def write_vectors(vectors: NamedVectors, path: str | Path, *, format: str | None = None) -> None:
    """Write vectors so that `read_vectors` returns them bit for bit.

    The suffix of the file chooses the format, as in `read_vectors`; GloVe text has to be named. The
    names of an ``.npy`` file are written to ``STEM.names.txt`` beside it. Numbers in text have nine
    digits, which identify every float32.

    Raises
    ------
    DataError
        If the format cannot carry a name: word2vec and GloVe separate by spaces.
    ArtifactError
        If the file cannot be written.
    ValueError
        If the format is unknown.
    """
    path, names, matrix = Path(path), vectors.names, vectors.matrix
    kind = _format(path, format)
    with atomic(path) as temporary:
        match kind:
            case "npy":
                word2vec.refuse_names(names, "\r\n", "a file of names")
                arrays.write_npy(temporary, matrix)
                path.unlink(missing_ok=True)  # an old matrix must not get the new names
                with atomic(_names_beside(path)) as beside:
                    beside.write_bytes("".join(f"{name}\n" for name in names).encode())
            case "npz":
                arrays.write_npz(temporary, names, matrix)
            case "safetensors":
                arrays.write_safetensors(temporary, names, matrix)
            case "parquet":
                tables.write_parquet(temporary, names, matrix)
            case "jsonl":
                tables.write_jsonl(temporary, names, matrix)
            case "word2vec-binary":
                word2vec.write_binary(temporary, names, matrix)
            case _:
                word2vec.write_text(temporary, names, matrix, header=kind == "word2vec")


def _format(path: Path, wanted: str | None) -> str:
    suffix = path.suffix.lower()
    if wanted is None and suffix in _PICKLES:
        raise DataError(
            f"{path} is a pickled file; {arrays.PICKLED}: save the vectors with np.save, and their "
            "names one a line"
        )
    if wanted is None and suffix == ".gz":
        raise DataError(f"{path} is compressed; unpack it first with gunzip")
    kind = _FORMAT_OF.get(suffix) if wanted is None else wanted
    if kind not in FORMATS:
        ends = ", ".join(_FORMAT_OF)
        raise OptionError(
            f"the format of {path.name} is unknown; needed a name that ends in {ends}, or one of "
            f"the formats {', '.join(FORMATS)}"
        )
    return kind


def _names_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.names.txt")


def _read_names(path: Path, column: str | None) -> list[str]:
    if path.suffix.lower() not in SUFFIXES:
        return [text for _, text in read_lines(path)]
    table = Records.read(path)
    index = table.column(column, known=tables.NAME_NAMES, what="the names")
    return ["" if row[index] is None else str(row[index]) for _, row in table.rows]


def _checked(names: list[str], matrix: npt.NDArray[Any], source: str) -> NamedVectors:
    """Convert a matrix to float32 and drop repeated rows; note both."""
    if matrix.dtype.kind != "f":
        raise DataError(
            f"{source} holds numbers of type {matrix.dtype}; needed float16, float32 or float64"
        )
    notes = []
    if matrix.dtype.newbyteorder("=") != np.float32:
        notes.append(f"its numbers were converted from {matrix.dtype.name} to float32")
    with np.errstate(over="ignore"):  # an infinity is refused, with its row, by NamedVectors
        matrix = matrix.astype(np.float32, copy=False)
    if matrix.ndim == 2 and len(names) == len(matrix):
        names, matrix, repeated = _distinct(names, matrix)
        if repeated:
            notes.append(
                f"{len(repeated)} rows were dropped because they repeat a name and its numbers: "
                f"{listed(repeated)}"
            )
        if zeros := zero_rows(matrix):
            notes.append(
                f"{len(zeros)} rows are zero and have no direction: "
                f"{listed([names[row] for row in zeros])}"
            )
    return NamedVectors(tuple(names), matrix, source, tuple(notes))


def _distinct(names: list[str], matrix: Float32) -> tuple[list[str], Float32, list[str]]:
    """Drop rows that repeat a name and its numbers; a name with other numbers is refused later."""
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        first.setdefault(name, row)
    if len(first) == len(names):
        return names, matrix, []
    again = [row for row, name in enumerate(names) if first[name] != row]
    equal = [row for row in again if matrix[row].tobytes() == matrix[first[names[row]]].tobytes()]
    keep = np.ones(len(names), dtype=bool)
    keep[equal] = False
    kept = [name for name, is_kept in zip(names, keep, strict=True) if is_kept]
    return kept, matrix[keep], [names[row] for row in equal]
