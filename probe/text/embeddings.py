"""A store of embeddings on the disk: no prompt is encoded twice, and a kill loses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probe.arrays import Float32, Indices
from probe.errors import ArtifactError, DataError, ModelError
from probe.io.artifacts import Provenance, exclusive, hash_parts, read_table, write_table
from probe.io.progress import Progress
from probe.text.embedding_files import EmbeddingFile, Keys, gather_rows, row_keys, write_rows
from probe.text.prompts import PromptSet

if TYPE_CHECKING:
    from probe.text.encoder import TextEncoder

CHUNK = 8192
"""Prompts that are encoded together and written at once."""


@dataclass(frozen=True, eq=False)
class EmbeddingStore:
    """A folder with ``prompts.parquet`` and, row by row beside it, ``states.safetensors``.

    The states are those of `TextEncoder.embed`. Each row has a key, of the prompt and of what
    encoded it, and a checksum, so that a damaged row is named and the others stay usable. Rows that
    the present prompts or encoder do not need are kept in ``.rows``; delete that folder to free its
    space.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> EmbeddingStore:
        """Open a store that has been filled, and check that its files belong together.

        Raises
        ------
        ArtifactError
            If a file is missing or truncated, or the two do not belong together.
        """
        store = cls(Path(folder))
        store._read()
        return store

    @property
    def prompt_set(self) -> PromptSet:
        """The prompts and what is known about them."""
        return self._read()[0]

    @property
    def provenance(self) -> Provenance:
        """What made the states."""
        return self._read()[1].provenance

    def vectors(self, prompts: Sequence[str] | None = None) -> Float32:
        """Look up embeddings, of shape (n_prompts, n_features).

        Parameters
        ----------
        prompts : sequence of str, optional
            Any that the store has. Without them, all rows are given in the order of
            `prompt_set`: memory-mapped, read-only.

        Raises
        ------
        DataError
            If a prompt has not been embedded.
        ArtifactError
            If the row of one is damaged; all others can still be looked up.
        """
        if prompts is None:
            prompt_set, file = self._read()
            self._check(file, np.arange(len(file.keys)), prompt_set.prompts)
            return file.vectors
        file = EmbeddingFile.open(self._states, kind="states")
        rows = _rows_of(row_keys(prompts, file.provenance.revision), file.keys)
        if len(missing := np.flatnonzero(rows < 0)):
            raise DataError(
                f"{self.folder} holds no embedding of {prompts[missing[0]]!r} ({len(missing)} "
                "missing); embed a prompt set that has it"
            )
        self._check(file, rows, prompts)
        return file.vectors[rows]

    def update(
        self,
        encoder: TextEncoder,
        prompt_set: PromptSet,
        *,
        variant: str = "",
        progress: Progress | None = None,
    ) -> int:
        """Fill the store with the rows of a prompt set, in its order.

        Rows that the folder has already, made by the same revision of the encoder, are reused. The
        others are encoded in alphabetical order, so that common beginnings are computed once, in
        chunks that are written one by one: after an interruption, even a kill, the same call
        resumes with the next chunk, and the files end up with the same bytes. Memory is needed for
        a chunk and for the prompts, not for all states.

        Parameters
        ----------
        encoder : TextEncoder
        prompt_set : PromptSet
        variant : str
            Names the layer and the pooling if they are not the encoder's usual ones; rows of
            different variants are never taken for each other.
        progress : callable, optional
            Called with (done, total) of the prompts that had to be encoded.

        Returns
        -------
        int
            How many prompts were encoded by this call.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to, or a file in it is truncated.
        BusyError
            If another process is filling the same store.
        ModelError
            If the encoder gives a NaN or an infinity.
        """
        made_by = f"{encoder.revision}/{variant}" if variant else encoder.revision
        provenance = Provenance(
            kind="states",
            model=encoder.id,
            revision=made_by,
            seed=None,
            made_from=prompt_set.hash,
        )
        with exclusive(self.folder):
            prompts = prompt_set.prompts
            keys = row_keys(prompts, made_by)
            distinct, first, place = np.unique(keys, return_index=True, return_inverse=True)
            missing = first[self._find(distinct).file < 0].tolist()
            todo = sorted(missing, key=prompts.__getitem__)
            for start in range(0, len(todo), CHUNK):
                chunk = todo[start : start + CHUNK]
                texts = [prompts[row] for row in chunk]
                self._encode(
                    encoder, texts, keys[chunk], provenance, _shifted(progress, start, len(todo))
                )
                if progress is not None:
                    progress(start + len(chunk), len(todo))
            found = self._find(distinct)
            if not self._is_made(keys, provenance, found):
                self._keep_others(distinct)
                width = encoder.n_features
                gather_rows(self._states, keys, found.sources(place), width, provenance)
            write_table(self._table, prompt_set.table, replace(provenance, kind="prompts"))
            self._drop_copies(distinct)
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

    def _files(self) -> list[EmbeddingFile]:
        """Every file of embeddings, the states first."""
        states = [(self._states, "states")] if self._states.exists() else []
        rows = [(path, "rows") for path in sorted(self._rows.glob("*.safetensors"))]
        return [EmbeddingFile.open(path, kind=kind) for path, kind in states + rows]

    def _read(self) -> tuple[PromptSet, EmbeddingFile]:
        table, _ = read_table(self._table, kind="prompts")
        file = EmbeddingFile.open(self._states, kind="states")
        prompt_set = PromptSet(table)
        if not np.array_equal(file.keys, row_keys(prompt_set.prompts, file.provenance.revision)):
            raise ArtifactError(
                f"{self._states} is not of the prompts in {self._table}; embed them again"
            )
        return prompt_set, file

    def _check(self, file: EmbeddingFile, rows: Indices, prompts: Sequence[str]) -> None:
        if len(bad := np.flatnonzero(~file.are_sound(rows))):
            raise ArtifactError(
                f"{file.path}: the embedding of {prompts[bad[0]]!r} is damaged ({len(bad)} of "
                f"{len(rows)} are); embed the prompts again: only what is damaged is encoded"
            )

    def _encode(
        self,
        encoder: TextEncoder,
        prompts: list[str],
        keys: Keys,
        provenance: Provenance,
        progress: Progress | None,
    ) -> None:
        vectors = encoder.embed(prompts, progress=progress)
        if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
            raise ModelError(
                f"{encoder.id} embeds {prompts[bad[0]]!r} as a vector that is not finite "
                f"({len(bad)} of {len(prompts)} are not); fetch or convert the model again"
            )
        path = self._rows / f"{hash_parts(keys)}.safetensors"
        write_rows(path, keys, vectors, replace(provenance, kind="rows", made_from=path.stem))

    def _find(self, keys: Keys) -> _Found:
        """Find a sound row for each of some distinct keys, where there is one."""
        files = self._files()
        found = _Found(files, np.full(len(keys), -1), np.zeros(len(keys), dtype=np.intp))
        for number, file in enumerate(files):
            rows = _rows_of(keys, file.keys)
            wanted = np.flatnonzero((rows >= 0) & (found.file < 0))
            sound = wanted[file.are_sound(rows[wanted])]
            found.file[sound], found.row[sound] = number, rows[sound]
        return found

    def _is_made(self, keys: Keys, provenance: Provenance, found: _Found) -> bool:
        """Whether the states are up to date."""
        if not self._states.exists() or found.file.any():
            return False
        return found.files[0].provenance == provenance and np.array_equal(found.files[0].keys, keys)

    def _keep_others(self, keys: Keys) -> None:
        """Copy the states of other keys into ``.rows``, before the states are replaced."""
        if not self._states.exists():
            return
        file = EmbeddingFile.open(self._states, kind="states")
        rows = np.flatnonzero(~np.isin(file.keys, keys))
        rows = rows[file.are_sound(rows)]
        if len(rows):
            others = file.keys[rows]
            path = self._rows / f"{hash_parts(others)}.safetensors"
            provenance = replace(file.provenance, kind="rows", made_from=path.stem)
            source = (file, rows, np.arange(len(rows)))
            gather_rows(path, others, [source], file.vectors.shape[1], provenance)

    def _drop_copies(self, keys: Keys) -> None:
        """Remove the files in ``.rows`` of which the states have every row."""
        for file in self._files():
            if file.kind == "rows" and np.isin(file.keys, keys).all():
                file.path.unlink()
        if self._rows.exists() and not any(self._rows.iterdir()):
            self._rows.rmdir()


@dataclass(frozen=True, eq=False)
class _Found:
    """The file and the row of each of some keys."""

    files: list[EmbeddingFile]
    file: Indices
    """Number of the file; -1 for a key that is in none."""
    row: Indices

    def sources(self, place: Indices) -> Iterator[tuple[EmbeddingFile, Indices, Indices]]:
        """Per file, the rows to take and where they go, if row i has the key place[i]."""
        for number, file in enumerate(self.files):
            given = np.flatnonzero(self.file[place] == number)
            yield file, self.row[place[given]], given


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
