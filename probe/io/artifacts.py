"""Tensors, tables and JSON with their provenance, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

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
    parse_json,
    read_whole,
    readable,
)
from probe.io.parquet import columns_read, open_parquet

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
    content: str = field(default="", compare=False)
    """Checksum of the content, set when it is written; empty in files of earlier versions."""


def write_tensors(path: Path | str, arrays: Mapping[str, Array], provenance: Provenance) -> None:
    """Write named arrays as safetensors; the same arrays always give the same bytes."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    # One metadata entry only: safetensors writes several in random order.
    provenance = replace(provenance, content=_hash_arrays(contiguous))
    content = save(contiguous, metadata={_KEY: _dump(provenance)})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path | str, *, kind: str) -> tuple[dict[str, Array], Provenance]:
    """Read what `write_tensors` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    path, provenance = Path(path), read_provenance(path, kind=kind)
    with readable(path, TypeError), readable(path, AttributeError):  # bfloat16 and smaller
        arrays = load_file(path)
    _check_content(path, provenance, _hash_arrays(arrays))
    return arrays, provenance


def write_table(path: Path | str, frame: pd.DataFrame, provenance: Provenance) -> None:
    """Write a table as Parquet, without its index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with atomic(path) as temporary:
        made = _dump(replace(provenance, content=hash_parts(*table.column_names)))
        # Pages have checksums of their own; the names of the columns are in none.
        table = table.replace_schema_metadata({_KEY: made})
        pq.write_table(table, temporary, write_page_checksum=True)


def read_table(path: Path | str, *, kind: str) -> tuple[pd.DataFrame, Provenance]:
    """Read what `write_table` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, of another kind or of another schema.
    """
    import pyarrow as pa

    path = Path(path)
    provenance = read_provenance(path, kind=kind)
    with readable(path, pa.ArrowException):
        file = open_parquet(path, page_checksum_verification=True)
        table = file.read(columns=list(columns_read(file.schema_arrow)))
        _check_content(path, provenance, hash_parts(*table.column_names))
        return table.replace_schema_metadata(None).to_pandas(), provenance


def write_json(path: Path | str, data: Mapping[str, Any], provenance: Provenance) -> None:
    """Write ``{"provenance": {...}, **data}`` as JSON with sorted keys.

    Raises
    ------
    ValueError
        If ``data`` has a NaN or an infinity, which JSON has not.
    """
    plain = json.loads(json.dumps(dict(data), default=_plain, allow_nan=False))
    made = replace(provenance, content=_hash_json(plain))
    text = json.dumps(plain | {_KEY: asdict(made)}, sort_keys=True, indent=2, ensure_ascii=False)
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
    data = _load_json(path)
    provenance = _provenance(path, data.pop(_KEY, None), kind)
    _check_content(path, provenance, _hash_json(data))
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
    if path.suffix == ".json":
        return _provenance(path, _load_json(path).get(_KEY), kind)
    metadata: Mapping[Any, Any]
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with readable(path, pa.ArrowException):
            metadata = pq.read_schema(path).metadata or {}
        text = metadata.get(_KEY.encode())
    elif path.suffix == ".safetensors":
        with readable(path, SafetensorError), safe_open(path, framework="np") as tensors:
            text = (tensors.metadata() or {}).get(_KEY)
    else:
        raise ArtifactError(
            f"{path} is a {path.suffix or 'nameless'} file; only .safetensors, .parquet and .json "
            "files have a provenance"
        )
    try:
        entries = json.loads(text or "null")
    except (ValueError, RecursionError):
        entries = None
    return _provenance(path, entries, kind)


def _load_json(path: Path) -> dict[str, Any]:
    with readable(path):
        content = read_whole(path)
    try:
        data = parse_json(content)
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON ({one_line(error)}); {REMAKE}") from error
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} holds a JSON {type(data).__name__}; an object was needed")
    return data


def _provenance(path: Path, entries: Any, kind: str | None) -> Provenance:
    """Check the provenance of a file; if a kind is given, also kind and schema."""
    known = {item.name for item in fields(Provenance)}
    texts = known - {"schema", "seed"}
    is_whole = isinstance(entries, dict) and known <= {*entries, "content"}
    if not is_whole or not all(isinstance(entries.get(of, ""), str) for of in texts):
        raise ArtifactError(f"{path} has no provenance, so moesd-probe did not write it; {REMAKE}")
    found = Provenance(**{name: entries[name] for name in known & set(entries)})
    if kind is not None and found.schema != SCHEMA:
        advice = "update moesd-probe"
        if found.schema in range(SCHEMA):
            advice = f"start a new run with `moesd-probe run NEW_RUN --model {found.model}`"
        raise ArtifactError(
            f"{path} has schema {found.schema} (written by version {found.version}) but this "
            f"version reads schema {SCHEMA}; {advice}"
        )
    if kind is not None and found.kind != kind:
        raise ArtifactError(f"{path} holds {found.kind!r}; a file of {kind!r} was needed")
    return found


def _check_content(path: Path, provenance: Provenance, found: str) -> None:
    if provenance.content not in ("", found):
        raise ArtifactError(f"{path} is damaged: it does not hold what was written; {REMAKE}")


def _hash_arrays(arrays: Mapping[str, Array]) -> str:
    return hash_parts(*(part for name in sorted(arrays) for part in (name, arrays[name])))


def _hash_json(data: Mapping[str, Any]) -> str:
    return hash_parts(json.dumps(data, sort_keys=True))


def _dump(provenance: Provenance) -> str:
    return json.dumps(asdict(provenance), sort_keys=True, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
