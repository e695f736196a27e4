"""Tensors, tables and JSON with their provenance, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from probe import __version__
from probe.errors import ArtifactError
from probe.io.files import (
    REMAKE,
    Array,
    atomic,
    exclusive,
    hash_file,
    hash_parts,
    one_line,
    readable,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA",
    "Provenance",
    "atomic",
    "exclusive",
    "hash_file",
    "hash_parts",
    "read_json",
    "read_provenance",
    "read_table",
    "read_tensors",
    "write_json",
    "write_table",
    "write_tensors",
]

SCHEMA = 2
"""Version of the layout of every file written here; raised when a reader must change."""

_KEY = "provenance"


@dataclass(frozen=True)
class Provenance:
    """What a file is and where it came from; without time and absolute paths."""

    kind: str
    """Kind of content, e.g. ``"states"`` or ``"direction"``."""
    model: str
    """Id of the model, as the user named it."""
    revision: str
    """Revision of the model's weights; see `probe.text.checkpoints.model_revision`."""
    seed: int | None
    """Seed of random content; None if nothing is random."""
    made_from: str
    """Hash of everything that the file was computed from."""
    schema: int = SCHEMA
    version: str = __version__


def write_tensors(path: Path | str, arrays: Mapping[str, Array], provenance: Provenance) -> None:
    """Write named arrays as safetensors; the same arrays always give the same bytes."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic(path) as temporary:
        try:
            # One metadata entry only: safetensors writes several in random order.
            save_file(contiguous, temporary, metadata={_KEY: _dump(asdict(provenance))})
        except SafetensorError as error:
            raise _as_os_error(error) from error


def read_tensors(path: Path | str, *, kind: str) -> tuple[dict[str, Array], Provenance]:
    """Read what `write_tensors` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    path = Path(path)
    with readable(path, SafetensorError), safe_open(path, framework="np") as file:
        provenance = _parse(path, (file.metadata() or {}).get(_KEY))
        _check(path, provenance, kind)
        return {name: file.get_tensor(name) for name in file.keys()}, provenance  # noqa: SIM118


def write_table(path: Path | str, frame: pd.DataFrame, provenance: Provenance) -> None:
    """Write a table as Parquet, without its index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: _dump(asdict(provenance))})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path | str, *, kind: str) -> tuple[pd.DataFrame, Provenance]:
    """Read what `write_table` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    with readable(path, pa.ArrowException), pq.ParquetFile(path) as file:
        provenance = _parse(path, (file.schema_arrow.metadata or {}).get(_KEY.encode()))
        _check(path, provenance, kind)
        return file.read().replace_schema_metadata(None).to_pandas(), provenance


def write_json(path: Path | str, data: Mapping[str, Any], provenance: Provenance) -> None:
    """Write ``{"provenance": {...}, **data}`` as JSON with sorted keys.

    Raises
    ------
    ValueError
        If ``data`` has a key ``"provenance"``, or a NaN or an infinity, which JSON has not.
    """
    if _KEY in data:
        raise ValueError(f"data may not have a key {_KEY!r}: it is written beside the data")
    text = json.dumps(
        {**data, _KEY: asdict(provenance)},
        default=_plain,
        sort_keys=True,
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
    )
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path | str, *, kind: str) -> tuple[dict[str, Any], Provenance]:
    """Read what `write_json` wrote, the data without the provenance.

    Raises
    ------
    ArtifactError
        If the file is missing, is not JSON, or is of another kind or schema.
    """
    path = Path(path)
    data, provenance = _load_json(path)
    _check(path, provenance, kind)
    return data, provenance


def read_provenance(path: Path | str, *, kind: str | None = None) -> Provenance:
    """Read only the provenance of a ``.safetensors``, ``.parquet`` or ``.json`` file.

    Unless a kind is given, kind and schema are not checked, so that any version can be read.

    Raises
    ------
    ArtifactError
        If the file is missing, corrupt, of another suffix, has no provenance, or is of another
        kind or schema.
    """
    path = Path(path)
    provenance = _read_provenance(path)
    if kind is not None:
        _check(path, provenance, kind)
    return provenance


def _read_provenance(path: Path) -> Provenance:
    if path.suffix == ".json":
        return _load_json(path)[1]
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with readable(path, pa.ArrowException), pq.ParquetFile(path) as table:
            return _parse(path, (table.schema_arrow.metadata or {}).get(_KEY.encode()))
    if path.suffix == ".safetensors":
        with readable(path, SafetensorError), safe_open(path, framework="np") as tensors:
            return _parse(path, (tensors.metadata() or {}).get(_KEY))
    raise ArtifactError(
        f"{path} is a {path.suffix or 'nameless'} file; only .safetensors, .parquet and .json "
        "files have a provenance"
    )


def _load_json(path: Path) -> tuple[dict[str, Any], Provenance]:
    with readable(path):
        content = path.read_bytes()
    try:
        data = json.loads(content)
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON ({one_line(error)}); {REMAKE}") from error
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} holds a JSON {type(data).__name__}; an object was needed")
    return data, _parse(path, json.dumps(data.pop(_KEY, None)))


def _parse(path: Path, text: str | bytes | None) -> Provenance:
    known = {field.name for field in fields(Provenance)}
    try:
        entries = json.loads(text) if text is not None else None
    except ValueError:
        entries = None
    if not isinstance(entries, dict) or not known <= set(entries):
        raise ArtifactError(f"{path} has no provenance, so moesd-probe did not write it; {REMAKE}")
    return Provenance(**{name: entries[name] for name in known})


def _check(path: Path, provenance: Provenance, kind: str) -> None:
    if provenance.schema != SCHEMA:
        advice = "update moesd-probe"
        if provenance.schema < SCHEMA:
            advice = f"start a new run with `moesd-probe run NEW_RUN --model {provenance.model}`"
        raise ArtifactError(
            f"{path} has schema {provenance.schema} (written by version {provenance.version}) but "
            f"this version reads schema {SCHEMA}; {advice}"
        )
    if provenance.kind != kind:
        raise ArtifactError(f"{path} holds {provenance.kind!r}; a file of {kind!r} was needed")


def _as_os_error(error: SafetensorError) -> OSError:
    """Recover the error number that safetensors only mentions in its message."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code) if number else str(error))


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
