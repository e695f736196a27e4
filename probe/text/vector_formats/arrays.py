"""Vectors as one array: npy, npz and safetensors, memory-mapped where the format allows it."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import ArtifactError, DataError
from probe.io.files import one_line
from probe.io.lines import opened
from probe.io.memory_mapped import map_arrays
from probe.io.parsing import parse_json

Raw = tuple[list[str] | None, npt.NDArray[Any]]
"""Names, if the file has them, and the matrix of shape (n_rows, n_features) in its own type."""

PICKLED = "a pickle runs code of its author when it is opened, so none is ever opened here"

_MOST_METADATA = 50_000_000  # safetensors refuses a header of more than 100 MB


def read_npy(path: Path) -> Raw:
    """Map an ``.npy`` file into memory.

    Raises
    ------
    DataError
        If the file is missing, truncated, no npy file, or holds pickled objects.
    """
    with opened(path):
        try:
            return None, np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError) as error:
            raise _damaged(path, "npy", error) from error


def write_npy(path: Path, matrix: Float32) -> None:
    """Write a matrix without its names."""
    with path.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)


def read_npz(path: Path) -> Raw:
    """Read the one float matrix of an ``.npz`` file, and its list of strings if it has one.

    Raises
    ------
    DataError
        If the file is missing, damaged, holds pickled objects, or several such arrays.
    """
    with opened(path) as file:
        try:
            with np.load(file, allow_pickle=False) as members:
                arrays = dict(members)
        except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, "npz", error) from error
    matrices = [name for name, array in arrays.items() if array.dtype.kind == "f"]
    lists = [name for name, array in arrays.items() if array.dtype.kind == "U" and array.ndim == 1]
    if len(matrices) != 1 or len(lists) > 1:
        raise DataError(
            f"{path} holds the float arrays {sorted(matrices)} and the lists of strings "
            f"{sorted(lists)}; needed one of the former and at most one of the latter"
        )
    return arrays[lists[0]].tolist() if lists else None, arrays[matrices[0]]


def write_npz(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write ``names``, as strings and not as objects, and ``vectors``."""
    with path.open("wb") as file:
        np.savez(file, names=np.array(names, dtype=np.str_), vectors=matrix)


def read_safetensors(path: Path) -> Raw:
    """Map the one matrix of a safetensors file into memory; names are its metadata ``names``.

    Raises
    ------
    DataError
        If the file is missing or damaged, holds several matrices, or its names are no JSON list.
    """
    with opened(path):
        try:
            arrays, metadata = map_arrays(path)
        except ArtifactError as error:
            raise DataError(
                f"{path} is damaged or no safetensors file ({one_line(error)}); write it anew"
            ) from error
    matrices = [key for key, array in arrays.items() if array.ndim == 2]
    if len(matrices) != 1:
        raise DataError(
            f"{path} holds the matrices {sorted(matrices)}; needed exactly one, of shape "
            "(n_rows, n_features)"
        )
    return _names_in(path, metadata.get("names")), arrays[matrices[0]]


def write_safetensors(path: Path, names: Sequence[str], matrix: Float32) -> None:
    """Write the matrix as ``vectors``, and the names as a JSON list in the metadata.

    Raises
    ------
    DataError
        If the names are too many for the metadata of a safetensors file.
    """
    from safetensors.numpy import save_file

    text = json.dumps(list(names), ensure_ascii=False)
    if len(text.encode()) > _MOST_METADATA:
        raise DataError(
            f"the {len(names)} names are too long for a safetensors header; export to .parquet"
        )
    save_file({"vectors": np.ascontiguousarray(matrix)}, path, metadata={"names": text})


def _names_in(path: Path, text: str | None) -> list[str] | None:
    if text is None:
        return None
    try:
        names = parse_json(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"the metadata of {path} has names that are no JSON list of strings; "
            "give the names in a file of their own"
        )
    return names


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(
        f"{path} is truncated, damaged, no {kind} file, or holds pickled objects "
        f"({one_line(error)}); {PICKLED}: save numbers as float32 and names as strings "
        "(np.array(names, dtype=str))"
    )
