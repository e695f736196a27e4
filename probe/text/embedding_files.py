"""Embeddings in files, each row with its key and its checksum, read where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32, Indices
from probe.io.artifacts import Provenance, hash_parts
from probe.io.memory_mapped import map_tensors, write_in_parts

Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_BLOCK = 4096  # rows that are looked at together
_ODD = 0x9E3779B97F4A7C15


def row_keys(prompts: Iterable[str], made_by: str) -> Keys:
    """Name each embedding by its content: what was encoded, and by what.

    Parameters
    ----------
    prompts : iterable of str
    made_by : str
        Revision of the encoder, with the layer and the pooling if they are not the usual ones.
    """
    return np.array([int(hash_parts(made_by, prompt), 16) for prompt in prompts], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class RowFile:
    """A file of embeddings that stays on the disk."""

    path: Path
    keys: Keys
    """Shape (n_rows,)."""
    sums: Keys
    """Checksum of each row and its key, of shape (n_rows,)."""
    vectors: Float32
    """Shape (n_rows, n_features); mapped, not read."""
    provenance: Provenance

    @classmethod
    def open(cls, path: Path, *, kind: str) -> RowFile:
        """Open a file that `write_rows` or `gather_rows` wrote.

        Raises
        ------
        ArtifactError
            If it is missing, truncated, of another kind or another schema.
        """
        arrays, provenance = map_tensors(path, kind=kind)
        nothing = np.empty(0, dtype=np.uint64)
        if "sums" not in arrays:  # by a version whose rows cannot be checked: none is trusted
            width = arrays["vectors"].shape[1]
            return cls(path, nothing, nothing, np.empty((0, width), np.float32), provenance)
        return cls(path, arrays["keys"], arrays["sums"], arrays["vectors"], provenance)

    def are_sound(self, rows: Indices) -> Flags:
        """Tell which rows are finite and are what was written."""
        sound = np.empty(len(rows), dtype=bool)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            vectors = self.vectors[block]
            sound[start : start + _BLOCK] = np.isfinite(vectors).all(axis=1) & (
                _sums(self.keys[block], vectors) == self.sums[block]
            )
        return sound


def write_rows(path: Path, keys: Keys, vectors: Float32, provenance: Provenance) -> None:
    """Write embeddings that are in memory."""
    with write_in_parts(path, _layout(*vectors.shape), provenance) as put:
        put("keys", slice(None), keys)
        put("sums", slice(None), _sums(keys, vectors))
        put("vectors", slice(None), vectors)


def gather_rows(
    path: Path,
    keys: Keys,
    sources: Iterable[tuple[Path, str, Indices, Indices]],
    n_features: int,
    provenance: Provenance,
) -> None:
    """Write a file out of rows of others, one file and a few thousand rows at a time.

    Parameters
    ----------
    path : Path
        May be one of the sources: it is replaced at the end.
    keys : uint64 ndarray of shape (n_rows,)
    sources : iterable of (path, kind, rows, places)
        Which rows of a file go to which places of the new one. Together they fill it.
    n_features : int
    provenance : Provenance
    """
    with write_in_parts(path, _layout(len(keys), n_features), provenance) as put:
        put("keys", slice(None), keys)
        for source, kind, rows, places in sources:
            for start in range(0, len(rows), _BLOCK):
                file = RowFile.open(source, kind=kind)  # anew, or all that was read would stay
                taken, given = rows[start : start + _BLOCK], places[start : start + _BLOCK]
                put("sums", given, file.sums[taken])
                put("vectors", given, file.vectors[taken])


def _layout(n_rows: int, n_features: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        "keys": ("U64", (n_rows,)),
        "sums": ("U64", (n_rows,)),
        "vectors": ("F32", (n_rows, n_features)),
    }


def _sums(keys: Keys, vectors: Float32) -> Keys:
    """Add up the bits of each row, times odd weights: no change of one number goes unseen."""
    bits = np.ascontiguousarray(vectors).view(np.uint32).astype(np.uint64)
    weights = np.arange(1, 2 * bits.shape[1], 2, dtype=np.uint64) * np.uint64(_ODD)
    sums: Keys = keys + bits @ weights
    return sums
