"""Arrays in safetensors that need not fit into memory: written in parts, memory-mapped to read.

safetensors itself writes whole arrays only, and its numpy reader copies them.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from probe.io.artifacts import Provenance, read_provenance
from probe.io.files import Array, atomic

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U64": np.dtype("<u8")}


def map_tensors(path: Path | str, *, kind: str) -> tuple[dict[str, Array], Provenance]:
    """Memory-map the float32 and uint64 arrays of a file with a provenance, read-only.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    path = Path(path)
    provenance = read_provenance(path, kind=kind)  # checks that header and size agree
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(n_header))
    arrays = {}
    for name, entry in header.items():
        if (dtype := _DTYPES.get(entry.get("dtype"))) is not None:
            offset = 8 + n_header + entry["data_offsets"][0]
            arrays[name] = _map(path, dtype, tuple(entry["shape"]), offset, "r")
    return arrays, provenance


@contextlib.contextmanager
def write_in_parts(
    path: Path | str, shapes: Mapping[str, tuple[str, tuple[int, ...]]], provenance: Provenance
) -> Iterator[Callable[[str, Any, Array], None]]:
    """Write arrays as safetensors that need not fit into memory.

    ``shapes`` maps a name to safetensors' name of the type, ``"F32"`` or ``"U64"``, and the shape.
    The block gets ``put(name, rows, values)``, which sets some rows of an array; they are zeros
    until then. The file exists, whole, once the block has succeeded.
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
