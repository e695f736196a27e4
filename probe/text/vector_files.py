"""Read and write named vectors in common formats."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError, OptionError
from probe.io.files import atomic
from probe.io.lines import read_lines
from probe.io.records import SUFFIXES, Records
from probe.stats.notation import counted
from probe.text.vector_readers import NAME_COLUMNS, READERS, read_table
from probe.text.vectors import NamedVectors, listed

T = TypeVar("T")


def read_vectors(
    path: str | Path,
    *,
    names: str | Path | Sequence[str] | None = None,
    column: str | None = None,
) -> NamedVectors:
    """Read vectors with their names.

    ============================ ==================================================================
    ``.npy``                     one matrix, memory-mapped; names from ``names``, else from the file
                                 ``STEM.names.txt`` beside it
    ``.npz``                     one float matrix, and names as one array of strings
    ``.safetensors``             one matrix; names as a JSON list in its metadata ``names``
    ``.parquet``, ``.jsonl``     a column of number lists and one of text (sentence-transformers,
                                 datasets, pandas)
    ``.txt``, ``.vec``           word2vec text, or GloVe text, which has no header line
    ``.bin``                     word2vec binary
    ============================ ==================================================================

    float16 and float64 become float32. A row whose name and numbers repeat an earlier one is
    dropped. Zero rows are kept. The notes of the result say all three. Pickled files are refused.

    Parameters
    ----------
    path : path
    names : path or sequence of str, optional
        Names of the rows, where the file has none: a list, a file with one name a line, or a table
        (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) with a column of names.
    column : str, optional
        Column of the names, in the table or in the file of names, if several could be meant.

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
    read = _chosen(path, READERS)
    if read is read_table:
        found, matrix = read_table(path, column, wants_names=names is None)
    else:
        found, matrix = read(path)
    if names is None and found is None:
        names = _names_beside(path)
        if not names.is_file():
            raise DataError(
                f"{path} holds no names, and there is no {names.name} beside it; give a file with "
                "one name a line with --names (names= in Python)"
            )
    if isinstance(names, str | Path):
        names = _read_names(Path(names), column)
    return _checked(list(found or () if names is None else names), matrix, path.name)


def write_vectors(vectors: NamedVectors, path: str | Path) -> None:
    """Write vectors so that `read_vectors` returns them bit for bit.

    The suffix chooses the format: ``.npy``, ``.npz``, ``.safetensors``, ``.parquet`` or ``.jsonl``.
    The names of an ``.npy`` file are written to ``STEM.names.txt`` beside it, one a line, so that
    none may have a line break.
    """
    path = Path(path)
    write, is_npy = _chosen(path, _WRITERS), path.suffix.lower() == ".npy"
    if is_npy and (broken := [name for name in vectors.names if set(name) & set("\r\n\ufeff")]):
        raise DataError(
            f"a file of names cannot hold the name {broken[0]!r}; export to .parquet, .jsonl, .npz "
            "or .safetensors"
        )
    with atomic(path) as temporary:
        write(temporary, vectors)
        if is_npy:
            path.unlink(missing_ok=True)  # an old matrix must not get the new names
            with atomic(_names_beside(path)) as beside:
                beside.write_bytes("".join(f"{name}\n" for name in vectors.names).encode())


def _write_npy(path: Path, vectors: NamedVectors) -> None:
    np.save(path, vectors.matrix, allow_pickle=False)


def _write_npz(path: Path, vectors: NamedVectors) -> None:
    names = np.array(vectors.names, dtype=np.str_)
    np.savez(path, names=names, vectors=vectors.matrix)


def _write_safetensors(path: Path, vectors: NamedVectors) -> None:
    from safetensors.numpy import save_file

    names = json.dumps(vectors.names, ensure_ascii=False)
    save_file({"vectors": np.ascontiguousarray(vectors.matrix)}, path, metadata={"names": names})


def _write_parquet(path: Path, vectors: NamedVectors) -> None:
    import pandas as pd

    frame = pd.DataFrame({"name": vectors.names, "vector": list(vectors.matrix)})
    frame.to_parquet(path, index=False)


def _write_jsonl(path: Path, vectors: NamedVectors) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for name, row in zip(vectors.names, vectors.matrix, strict=True):
            file.write(json.dumps({"name": name, "vector": row.tolist()}) + "\n")


_WRITERS: dict[str, Callable[[Path, NamedVectors], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}


def _chosen(path: Path, by_suffix: Mapping[str, T]) -> T:
    """Choose a reader or a writer by the suffix of a file."""
    if (chosen := by_suffix.get(path.suffix.lower())) is None:
        raise OptionError(
            f"the format of {path.name} is unknown; needed a name that ends in "
            f"{', '.join(by_suffix)}: unpack a compressed file, and save the vectors of a pickle "
            "with np.save, and their names one a line"
        )
    return chosen


def _names_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.names.txt")


def _read_names(path: Path, column: str | None) -> list[str]:
    if path.suffix.lower() not in SUFFIXES:
        return [text for _, text in read_lines(path)]
    table = Records.read(path)
    index = table.column(column, known=NAME_COLUMNS, what="the names")
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
            n = counted(len(repeated), "rows")
            notes.append(f"left out, as name and numbers are repeated, {n}: {listed(repeated)}")
        if zeros := [names[row] for row in np.flatnonzero(~matrix.any(axis=1))]:
            n = counted(len(zeros), "rows")
            notes.append(f"zero, which has no direction, {n}: {listed(zeros)}")
    return NamedVectors(tuple(names), matrix, source, tuple(notes))


def _distinct(names: list[str], matrix: Float32) -> tuple[list[str], Float32, list[str]]:
    """Drop rows that repeat a name and its numbers; a name with other numbers is refused later."""
    first: dict[str, int] = {}
    kept: list[int] = []
    repeated: list[int] = []
    for row, name in enumerate(names):
        original = first.setdefault(name, row)
        is_repeated = original != row and np.array_equal(matrix[row], matrix[original])
        (repeated if is_repeated else kept).append(row)
    if not repeated:
        return names, matrix, []
    return [names[row] for row in kept], matrix[kept], [names[row] for row in repeated]
