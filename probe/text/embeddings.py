"""A store of embeddings on the disk: no prompt is encoded twice, and a kill loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.arrays import Float32, Indices
from probe.errors import ArtifactError, DataError, ModelError
from probe.io.artifacts import (
    Provenance,
    exclusive,
    hash_parts,
    read_table,
    write_table,
    write_tensors,
)
from probe.io.executors import Distribute
from probe.io.files import remove_orphans
from probe.io.memory_mapped import map_tensors, write_in_parts
from probe.io.progress import Progress
from probe.text.prompts import PromptSet

if TYPE_CHECKING:
    from probe.text.encoder import TextEncoder

Keys = npt.NDArray[np.uint64]

CHUNK = 2048
"""Prompts that are encoded together and written at once."""

_BLOCK = 4096  # rows that are copied together


@dataclass(frozen=True, eq=False)
class EmbeddingStore:
    """A folder with ``prompts.parquet`` and, row by row beside it, ``states.safetensors``.

    The states are those of `TextEncoder.embed`. Each row has a key, of the prompt and of what
    encoded it. Chunks of an unfinished update are in ``.rows``.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> EmbeddingStore:
        """Open a store that has been filled, and check that its files belong together."""
        store = cls(Path(folder))
        keys, provenance = store._read_states()
        if not np.array_equal(keys, _row_keys(store.prompt_set.prompts, provenance.revision)):
            raise ArtifactError(
                f"{store._states} is not of the prompts in {store._table}; embed them again"
            )
        return store

    @property
    def prompt_set(self) -> PromptSet:
        """The prompts and what is known about them."""
        return PromptSet(read_table(self._table, kind="prompts")[0])

    @property
    def provenance(self) -> Provenance:
        """What made the states."""
        return self._read_states()[1]

    def vectors(self, prompts: Sequence[str] | None = None) -> Float32:
        """Look up embeddings, of shape (n_prompts, n_features), of prompts that the store has.

        Without ``prompts``, all rows in the order of `prompt_set`: memory-mapped, read-only.
        """
        vectors: Float32 = map_tensors(self._states, kind="states")[0]["vectors"]
        if prompts is None:
            return vectors
        keys, provenance = self._read_states()
        rows = _rows_of(_row_keys(prompts, provenance.revision), keys)
        if len(missing := np.flatnonzero(rows < 0)):
            raise DataError(
                f"{self.folder} holds no embedding of {prompts[missing[0]]!r} ({len(missing)} "
                "missing); embed a prompt set that has it"
            )
        return vectors[rows]

    def update(
        self,
        encoder: TextEncoder,
        prompt_set: PromptSet,
        *,
        progress: Progress | None = None,
        distribute: Distribute | None = None,
    ) -> int:
        """Fill the store with the rows of a prompt set, in its order; return how many were encoded.

        Rows that the folder has already, made by the same revision of the encoder, are reused. The
        others are encoded in alphabetical order, so that common beginnings are computed once, in
        chunks that are written one by one: after an interruption, even a kill, the same call
        resumes with the next chunk, and the files end up with the same bytes. Memory is needed for
        a chunk and for the prompts, not for all states. ``progress`` is called with (done, total)
        of the prompts that had to be encoded. With ``distribute``, workers encode whole chunks.
        """
        provenance = Provenance(
            kind="states",
            model=encoder.id,
            revision=encoder.revision,
            seed=None,
            made_from=prompt_set.hash,
        )
        with exclusive(self.folder):
            remove_orphans(self.folder)
            prompts = prompt_set.prompts
            keys = _row_keys(prompts, provenance.revision)
            there = [_keys(path, kind) for path, kind in self._files()]
            missing = ~np.isin(keys, np.concatenate(there)) if there else np.ones(len(keys), bool)
            todo = sorted({prompts[row] for row in np.flatnonzero(missing)})
            chunks = {at: todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)}
            if distribute is None:
                encoded = (
                    (at, encoder.embed(chunk, progress=_shifted(progress, at, len(todo))))
                    for at, chunk in chunks.items()
                )
            else:
                write = self.folder, partial(_write, provenance)
                encoded = distribute(_open_encoder, chunks.items(), write)
            done = 0
            with closing(encoded):
                for at, vectors in encoded:
                    if vectors is not None:
                        _write(provenance, self.folder, chunks[at], vectors)
                    done += len(chunks[at])
                    if progress is not None:
                        progress(done, len(todo))
            if not self._is_made(keys, provenance):
                self._gather(keys, encoder.n_features, provenance)
            shutil.rmtree(self._rows, ignore_errors=True)  # before the table says that all is done
            write_table(self._table, prompt_set.table, replace(provenance, kind="prompts"))
        return len(todo)

    @property
    def _table(self) -> Path:
        return self.folder / "prompts.parquet"

    @property
    def _states(self) -> Path:
        return self.folder / "states.safetensors"

    @property
    def _rows(self) -> Path:
        return self.folder / ".rows"

    def _files(self) -> Iterator[tuple[Path, str]]:
        """Every file of embeddings with its kind."""
        if self._states.exists():
            yield self._states, "states"
        for path in sorted(self._rows.glob("*.safetensors")):
            yield path, "rows"

    def _read_states(self) -> tuple[Keys, Provenance]:
        arrays, provenance = map_tensors(self._states, kind="states")
        return np.array(arrays["keys"]), provenance

    def _is_made(self, keys: Keys, provenance: Provenance) -> bool:
        """Whether the states are up to date."""
        if not self._states.exists():
            return False
        found, made_by = self._read_states()
        return made_by == provenance and np.array_equal(found, keys)

    def _gather(self, keys: Keys, n_features: int, provenance: Provenance) -> None:
        """Write the states from the rows of all files, a few thousand rows at a time."""
        layout = {"keys": ("U64", (len(keys),)), "vectors": ("F32", (len(keys), n_features))}
        with write_in_parts(self._states, layout, provenance) as put:
            put("keys", slice(None), keys)
            for path, kind in self._files():
                rows = _rows_of(keys, _keys(path, kind))
                found = np.flatnonzero(rows >= 0)
                for start in range(0, len(found), _BLOCK):
                    block = found[start : start + _BLOCK]
                    # Mapped anew for each block, so that no page that was read stays in memory.
                    vectors = map_tensors(path, kind=kind)[0]["vectors"]
                    put("vectors", block, vectors[rows[block]])


def _open_encoder(models: Any) -> Callable[[list[str]], Float32]:
    encoder: TextEncoder = models.load_encoder()
    return encoder.embed


def _write(provenance: Provenance, folder: Path, prompts: list[str], vectors: Float32) -> None:
    """Write the vectors of a chunk of prompts to a file of its own."""
    if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise ModelError(
            f"{provenance.model} embeds {prompts[bad[0]]!r} as a vector that is not finite "
            f"({len(bad)} of {len(prompts)} are not); fetch or convert the model again"
        )
    keys = _row_keys(prompts, provenance.revision)
    path = EmbeddingStore(folder)._rows / f"{hash_parts(keys)}.safetensors"
    made = replace(provenance, kind="rows", made_from=path.stem)
    write_tensors(path, {"keys": keys, "vectors": vectors}, made)


def _row_keys(prompts: Iterable[str], made_by: str) -> Keys:
    """Key of each embedding: a hash of the prompt and of what encoded it."""
    return np.array([int(hash_parts(made_by, prompt), 16) for prompt in prompts], dtype=np.uint64)


def _keys(path: Path, kind: str) -> Keys:
    return np.array(map_tensors(path, kind=kind)[0]["keys"])


def _rows_of(keys: Keys, among: Keys) -> Indices:
    """First position of each key among others; -1 where it is absent."""
    distinct, first = np.unique(among, return_index=True)
    rows: Indices = np.append(first, -1)[pd.Index(distinct).get_indexer(pd.Index(keys))]
    return rows


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    """Progress of a chunk within the whole, without its last prompt, which is not yet written."""
    if progress is None:
        return None

    def report(done: int, n_chunk: int) -> None:
        if done < n_chunk:
            progress(start + done, total)

    return report
