"""Runs without a model: vectors that were made elsewhere, kept as they came."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Float32
from probe.errors import ArtifactError, StageError
from probe.io.artifacts import Provenance, hash_parts, read_provenance, read_table, write_table
from probe.io.memory_mapped import map_tensors, write_in_parts
from probe.run.config import IMPORT
from probe.run.folder import Run
from probe.run.registry import Answer
from probe.text.vectors import NamedVectors

VECTORS = "embeddings/vectors.safetensors"
NAMES = "embeddings/names.parquet"
"""Each name, and the hash of the name and its row."""

_BLOCK = 4096  # rows that are looked at together


def stale_import(run: Run) -> str | None:
    """Say which file of the imported vectors is missing or damaged; None if there is none."""
    for name in (VECTORS, NAMES):
        if not (run.folder / name).exists():
            return f"{name} does not exist"
    try:
        _names(run)
        _matrix(run)
    except ArtifactError as error:  # it can be imported again
        return str(error)
    return None


def refuse_import(run: Run) -> NoReturn:
    """Refuse to import again without the user: the file of the vectors has to be named."""
    raise StageError(f"{stale_import(run)}; {_again(run)}")


def count_import(run: Run) -> Answer:
    """Count the imported vectors."""
    (n, width), source = _matrix(run).shape, _source(run)
    text = f"{n} vectors of {width} features from {source}"
    return Answer(text, {"source": source, "n_vectors": n, "n_features": width})


def keep_vectors(folder: Path, vectors: NamedVectors) -> None:
    """Write imported vectors into a run folder; one that holds other vectors is refused."""
    try:
        found = read_provenance(folder / VECTORS).revision
    except ArtifactError:  # missing, or unreadable and to be overwritten
        found = vectors.hash
    if found != vectors.hash:
        raise ArtifactError(
            f"{folder} holds other vectors ({found}) than {vectors.source} ({vectors.hash}); "
            "start a new run in another folder"
        )
    model = IMPORT + vectors.source
    made = Provenance("vectors", model, vectors.hash, seed=None, made_from=vectors.hash)
    hashes = np.empty(len(vectors), dtype=np.uint64)
    with write_in_parts(folder / VECTORS, {"vectors": ("F32", vectors.matrix.shape)}, made) as put:
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            rows = np.array(vectors.matrix[block])
            put("vectors", block, rows)
            hashes[block] = _hashes(vectors.names[block], rows)
    table = pd.DataFrame({"name": vectors.names, "hash": hashes})
    write_table(folder / NAMES, table, replace(made, kind="names"))


def imported_vectors(run: Run) -> NamedVectors:
    """The vectors of a run; they stay on the disk."""
    return NamedVectors(tuple(_names(run)["name"]), _matrix(run), _source(run))


def imported_rows(run: Run, vectors: NamedVectors, names: Sequence[str]) -> NamedVectors:
    """Some of the vectors; one that is not what was written is refused with an `ArtifactError`."""
    chosen = vectors.select(names)
    written = _names(run)["hash"].to_numpy()[vectors.rows(names)]
    if len(bad := np.flatnonzero(_hashes(chosen.names, chosen.matrix) != written)):
        raise ArtifactError(
            f"{run.folder / VECTORS}: the vector of {names[bad[0]]!r} is damaged ({len(bad)} of "
            f"{len(names)} are); {_again(run)}"
        )
    return chosen


def _names(run: Run) -> pd.DataFrame:
    table, made = read_table(run.folder / NAMES, kind="names")
    if made.revision != run.revision:
        raise ArtifactError(f"{run.folder / NAMES} is not of {VECTORS}")
    return table


def _matrix(run: Run) -> Float32:
    matrix: Float32 = map_tensors(run.folder / VECTORS, kind="vectors")[0]["vectors"]
    return matrix


def _hashes(names: Sequence[str], rows: Float32) -> npt.NDArray[np.uint64]:
    found = (int(hash_parts(name, row), 16) for name, row in zip(names, rows, strict=True))
    return np.fromiter(found, dtype=np.uint64, count=len(names))


def _source(run: Run) -> str:
    return run.config.model.removeprefix(IMPORT)


def _again(run: Run) -> str:
    return f"import them again with `moesd-probe embed {run.folder} --import {_source(run)}`"
