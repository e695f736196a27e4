"""Arrays in safetensors that need not fit into memory: written in parts, memory-mapped to read.

safetensors itself writes whole arrays only, and its numpy reader copies them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from probe.io.artifacts import Provenance, read_provenance
from probe.io.files import Array, atomic, readable

_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for name, kind in (
        *(("F16", "<f2"), ("F32", "<f4"), ("F64", "<f8"), ("BF16", "<u2")),
        *(("I32", "<i4"), ("I64", "<i8"), ("U64", "<u8")),
    )
}


def map_tensors(path: Path | str, *, kind: str) -> tuple[dict[str, Array], Provenance]:
    """Memory-map the arrays that `write_in_parts` or `write_tensors` wrote, read-only.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    path = Path(path)
    provenance = read_provenance(path, kind=kind)
    return map_arrays(path)[0], provenance


def map_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Memory-map the arrays of any safetensors file, read-only; bfloat16 is read as float32.

    Returns
    -------
    arrays, metadata
        Arrays of other types than floats of 16 to 64 bits, int32, int64 and uint64 are left out.

    Raises
    ------
    ArtifactError
        If the file is missing or damaged.
    """
    with readable(path, SafetensorError):
        with safe_open(path, framework="np"):
            pass  # the library checks that header and size agree
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(n_header))
    metadata = header.pop("__metadata__", {})
    arrays: dict[str, Array] = {}
    for name, entry in header.items():
        if (dtype := _DTYPES.get(entry["dtype"])) is None:
            continue
        offset = 8 + n_header + entry["data_offsets"][0]
        array = _map(path, dtype, tuple(entry["shape"]), offset, "r")
        if entry["dtype"] == "BF16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = array
    return arrays, metadata


@contextlib.contextmanager
def write_in_parts(
    path: Path | str, shapes: Mapping[str, tuple[str, tuple[int, ...]]], provenance: Provenance
) -> Iterator[Callable[[str, Any, Array], None]]:
    """Write arrays as safetensors that need not fit into memory.

    Parameters
    ----------
    path : Path
        The file exists, whole, once the block has succeeded.
    shapes : mapping
        Name -> (safetensors' name of the type, e.g. ``"F32"``; shape). Zeros until they are set.

    Yields
    ------
    callable
        ``put(name, rows, values)`` sets some rows of an array.
    """
    entries: dict[str, Any] = {
        "__metadata__": {"provenance": json.dumps(asdict(provenance), sort_keys=True)}
    }
    size = 0
    for name, (dtype, shape) in shapes.items():
        start, size = size, size + int(np.prod(shape)) * _DTYPES[dtype].itemsize
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, size]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)

    def put(name: str, rows: Any, values: Array) -> None:
        dtype, shape = shapes[name]
        offset = 8 + len(header) + entries[name]["data_offsets"][0]
        # Mapped anew for each part, so that written pages do not stay in memory.
        _map(temporary, _DTYPES[dtype], shape, offset, "r+")[rows] = values

    with atomic(path) as temporary:
        with temporary.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + size)
            if hasattr(os, "posix_fallocate"):  # or a full disk would kill the process in `put`
                os.posix_fallocate(file.fileno(), 0, 8 + len(header) + size)
        yield put


def _map(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, mode: Literal["r", "r+"]
) -> Array:
    if 0 in shape:  # an empty array cannot be mapped
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, offset, shape)
