"""Files of embeddings that stay on the disk: each row has a key and a checksum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32, Indices, Mask
from probe.io.artifacts import Provenance, hash_parts
from probe.io.memory_mapped import map_tensors, write_in_parts

Keys = npt.NDArray[np.uint64]

_BLOCK = 4096  # rows that are read together
_ODD = 0x9E3779B97F4A7C15


def row_keys(prompts: Iterable[str], made_by: str) -> Keys:
    """Key of each embedding: a hash of the prompt and of what encoded it.

    Parameters
    ----------
    prompts : iterable of str
    made_by : str
        Revision of the encoder, with the layer and the pooling if they are not the usual ones.
    """
    return np.array([int(hash_parts(made_by, prompt), 16) for prompt in prompts], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class EmbeddingFile:
    """A file of embeddings that stays on the disk."""

    path: Path
    kind: str
    keys: Keys
    """Shape (n_rows,)."""
    sums: Keys
    """Checksum of each row and its key, of shape (n_rows,)."""
    provenance: Provenance

    @classmethod
    def open(cls, path: Path, *, kind: str) -> EmbeddingFile:
        """Open a file that `write_rows` or `gather_rows` wrote.

        Raises
        ------
        ArtifactError
            If it is missing, truncated, of another kind or another schema.
        """
        arrays, provenance = map_tensors(path, kind=kind)
        return cls(path, kind, np.array(arrays["keys"]), np.array(arrays["sums"]), provenance)

    @property
    def vectors(self) -> Float32:
        """Shape (n_rows, n_features); mapped anew at each call, so that no read page stays."""
        vectors: Float32 = map_tensors(self.path, kind=self.kind)[0]["vectors"]
        return vectors

    def are_sound(self, rows: Indices) -> Mask:
        """Which rows are finite and equal what was written."""
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
    sources: Iterable[tuple[EmbeddingFile, Indices, Indices]],
    n_features: int,
    provenance: Provenance,
) -> None:
    """Write a file from rows of others, a few thousand rows at a time.

    Parameters
    ----------
    path : Path
        May be one of the sources: it is replaced at the end.
    keys : uint64 ndarray of shape (n_rows,)
    sources : iterable of (file, rows, places)
        Which rows of a file go to which places of the new one. Together they fill it.
    n_features : int
    provenance : Provenance
    """
    with write_in_parts(path, _layout(len(keys), n_features), provenance) as put:
        put("keys", slice(None), keys)
        for file, rows, places in sources:
            for start in range(0, len(rows), _BLOCK):
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
    """Sum of the bits of each row with odd weights: any change of one number changes it."""
    bits = np.ascontiguousarray(vectors).view(np.uint32).astype(np.uint64)
    weights = np.arange(1, 2 * bits.shape[1], 2, dtype=np.uint64) * np.uint64(_ODD)
    sums: Keys = keys + bits @ weights
    return sums
