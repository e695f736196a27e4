"""Vectors as one array: npy, npz and safetensors, mapped into memory where the format allows it."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.errors import DataError
from probe.io.files import one_line
from probe.io.lines import opened
from probe.io.parsing import parse_json

Raw = tuple[list[str] | None, npt.NDArray[Any]]
"""Names, if the file holds them, and the matrix of shape (n_rows, n_features) in its own type."""

PICKLED = "a pickle runs code of its author when it is opened, so none is ever opened here"

_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MOST_METADATA = 50_000_000  # safetensors refuses a header of more than 100 MB


def read_npy(path: Path) -> Raw:
    """Map an ``.npy`` file into memory.

    Raises
    ------
    DataError
        If the file is missing, truncated, no npy file, or holds pickled objects.
    """
    with opened(path) as file:
        try:
            _refuse_objects(path, _npy_dtype(file))
            return None, np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError) as error:
            raise DataError(
                f"{path} is truncated or no npy file ({one_line(error)}); save it anew with np.save"
            ) from error


def write_npy(path: Path, matrix: npt.NDArray[np.float32]) -> None:
    """Write a matrix; its names stand elsewhere."""
    with path.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)


def read_npz(path: Path) -> Raw:
    """Read the one matrix of an ``.npz`` file, and its one list of strings if it has one.

    Raises
    ------
    DataError
        If the file is missing, damaged, holds pickled objects, or several such arrays.
    """
    matrices, lists = {}, {}
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    with archive.open(name) as member:
                        _refuse_objects(path, _npy_dtype(member))
            with np.load(path, allow_pickle=False) as arrays:
                for name, array in arrays.items():
                    if array.ndim == 1 and array.dtype.kind == "U":
                        lists[name] = array
                    elif array.dtype.kind == "f":
                        matrices[name] = array
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{path} is damaged or no npz file ({one_line(error)}); save it anew with np.savez"
            ) from error
    if len(matrices) != 1 or len(lists) > 1:
        raise DataError(
            f"{path} holds the float arrays {sorted(matrices)} and the lists of strings "
            f"{sorted(lists)}; needed one of the former and at most one of the latter"
        )
    names = [str(name) for found in lists.values() for name in found]
    return (names if lists else None), next(iter(matrices.values()))


def write_npz(path: Path, names: Sequence[str], matrix: npt.NDArray[np.float32]) -> None:
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
    from safetensors import SafetensorError, safe_open

    with opened(path) as file:
        try:
            with safe_open(path, framework="np"):
                pass  # the library checks that header and size agree
        except SafetensorError as error:
            raise DataError(
                f"{path} is damaged or no safetensors file ({one_line(error)}); write it anew"
            ) from error
        n_header = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(n_header))
    names = header.pop("__metadata__", {}).get("names")
    matrices = {key: entry for key, entry in header.items() if len(entry["shape"]) == 2}
    if len(matrices) != 1:
        raise DataError(
            f"{path} holds the matrices {sorted(matrices)}; needed exactly one, of shape "
            "(n_rows, n_features)"
        )
    key, entry = next(iter(matrices.items()))
    if entry["dtype"] not in _KINDS or 0 in entry["shape"]:
        raise DataError(
            f"{key!r} of {path} has type {entry['dtype']} and shape {tuple(entry['shape'])}; "
            f"needed rows of one of {', '.join(_KINDS)}"
        )
    matrix: npt.NDArray[Any] = np.memmap(
        path,
        dtype=_KINDS[entry["dtype"]],
        mode="r",
        offset=8 + n_header + entry["data_offsets"][0],
        shape=tuple(entry["shape"]),
    )
    if entry["dtype"] == "BF16":  # the upper half of a float32
        matrix = (matrix.astype(np.uint32) << 16).view(np.float32)
    return _names_of_metadata(path, names), matrix


def write_safetensors(path: Path, names: Sequence[str], matrix: npt.NDArray[np.float32]) -> None:
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


def _names_of_metadata(path: Path, text: str | None) -> list[str] | None:
    if text is None:
        return None
    try:
        names = parse_json(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"the metadata of {path} hold names that are no JSON list of strings; "
            "give the names in a file of their own"
        )
    return names


def _npy_dtype(file: Any) -> np.dtype[Any]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    return read(file)[2]


def _refuse_objects(path: Path, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise DataError(
            f"{path} holds pickled Python objects; {PICKLED}: save numbers as float32 and names "
            "as strings (np.array(names, dtype=str))"
        )
