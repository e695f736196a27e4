"""Embeddings on the disk: no prompt is encoded twice, and nothing is lost when a run is killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probe.arrays import Float32, Indices
from probe.errors import ArtifactError, DataError, ModelError
from probe.io.artifacts import Provenance, exclusive, hash_parts, read_table, write_table
from probe.io.progress import Progress
from probe.text.embedding_files import Flags, Keys, RowFile, gather_rows, row_keys, write_rows
from probe.text.prompts import PromptSet, check_no_string

if TYPE_CHECKING:
    from probe.text.encoder import TextEncoder

CHUNK = 8192
"""Prompts that are encoded together and written at once."""


@dataclass(frozen=True, eq=False)
class EmbeddingStore:
    """A folder with ``prompts.parquet`` and, row by row beside it, ``states.safetensors``.

    The states are the pooled, L2-normalised ones of `TextEncoder.embed`. Each row is keyed by the
    prompt and by what encoded it, and has a checksum, so that a damaged row is found by name and
    the others stay usable. A row that was written once is never lost: those that the present
    prompts, or the present encoder, do not need are kept in ``.rows`` until they do. (Delete that
    folder to be rid of them.)
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
            Any that stand in the store. Without them, all rows are given in the order of
            `prompt_set`: they stay on the disk, and cannot be written to.

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
        check_no_string("prompts", prompts)
        file = RowFile.open(self._states, kind="states")
        rows, is_there = _look_up(row_keys(prompts, file.provenance.revision), file.keys)
        if len(missing := np.flatnonzero(~is_there)):
            raise DataError(
                f"{self.folder} holds no embedding of {prompts[missing[0]]!r} ({len(missing)} "
                "missing); embed a prompt set that has it"
            )
        self._check(file, rows, prompts)
        return file.vectors[rows]

    def damaged(self) -> list[str]:
        """Name the prompts whose row on the disk is not what was written, or is not finite."""
        prompt_set, file = self._read()
        rows = np.flatnonzero(~file.are_sound(np.arange(len(file.keys))))
        prompts = prompt_set.prompts
        return [prompts[row] for row in rows]

    def update(
        self,
        encoder: TextEncoder,
        prompt_set: PromptSet,
        *,
        variant: str = "",
        progress: Progress | None = None,
    ) -> int:
        """Make the store hold the rows of a prompt set, in its order.

        Whatever stands in the folder already, made by the same revision of the encoder, is taken
        from there. The others are encoded in alphabetical order, so that those that begin alike
        meet, in chunks that are written one by one: after an interruption, even a kill, the same
        call goes on with the next chunk, and the files end up with the same bytes. Memory is
        needed for a chunk and for the prompts, not for all states.

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
                said, tell = [prompts[row] for row in chunk], _within(progress, start, len(todo))
                self._encode(encoder, said, keys[chunk], provenance, tell)
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

    def _files(self) -> list[tuple[Path, str]]:
        """Every file that holds rows, with its kind."""
        states = [(self._states, "states")] if self._states.exists() else []
        return states + [(path, "rows") for path in sorted(self._rows.glob("*.safetensors"))]

    def _read(self) -> tuple[PromptSet, RowFile]:
        table, _ = read_table(self._table, kind="prompts")
        file = RowFile.open(self._states, kind="states")
        prompt_set = PromptSet(table)
        if not np.array_equal(file.keys, row_keys(prompt_set.prompts, file.provenance.revision)):
            raise ArtifactError(
                f"{self._states} is not of the prompts in {self._table}; embed them again"
            )
        return prompt_set, file

    def _check(self, file: RowFile, rows: Indices, prompts: Sequence[str]) -> None:
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
        """Find a sound row for each of some sorted keys, where there is one."""
        files = self._files()
        found = _Found(files, np.full(len(keys), -1), np.zeros(len(keys), dtype=np.intp))
        for number, (path, kind) in enumerate(files):
            places, is_wanted = _look_up_sorted(RowFile.open(path, kind=kind).keys, keys)
            rows = np.flatnonzero(is_wanted)
            rows = rows[found.file[places[rows]] < 0]
            for start in range(0, len(rows), CHUNK):
                piece = rows[start : start + CHUNK]
                file = RowFile.open(path, kind=kind)  # anew, or all that was read would stay
                piece = piece[file.are_sound(piece)]
                found.file[places[piece]], found.row[places[piece]] = number, piece
        return found

    def _is_made(self, keys: Keys, provenance: Provenance, found: _Found) -> bool:
        """Tell whether the states are there already."""
        if not self._states.exists() or found.file.any():
            return False
        file = RowFile.open(self._states, kind="states")
        return file.provenance == provenance and np.array_equal(file.keys, keys)

    def _keep_others(self, keys: Keys) -> None:
        """Put by what stands in the states under other keys, before they are replaced."""
        if not self._states.exists():
            return
        file = RowFile.open(self._states, kind="states")
        rows = np.flatnonzero(~np.isin(file.keys, keys))
        rows = rows[file.are_sound(rows)]
        if len(rows):
            others = file.keys[rows]
            path = self._rows / f"{hash_parts(others)}.safetensors"
            provenance = replace(file.provenance, kind="rows", made_from=path.stem)
            source = (self._states, "states", rows, np.arange(len(rows)))
            gather_rows(path, others, [source], file.vectors.shape[1], provenance)

    def _drop_copies(self, keys: Keys) -> None:
        """Remove the files all of whose rows stand in the states, under the sorted keys."""
        for path, kind in self._files():
            _, is_there = _look_up_sorted(RowFile.open(path, kind=kind).keys, keys)
            if kind == "rows" and is_there.all():
                path.unlink()
        if self._rows.exists() and not any(self._rows.iterdir()):
            self._rows.rmdir()


@dataclass(frozen=True, eq=False)
class _Found:
    """In which file, and in which row of it, each of some keys stands."""

    files: list[tuple[Path, str]]
    file: Indices
    """Number of the file; -1 for a key that stands in none."""
    row: Indices

    def sources(self, place: Indices) -> Iterator[tuple[Path, str, Indices, Indices]]:
        """List, file by file, the rows to take and where they go, if row i holds key place[i]."""
        of_file = self.file[place]
        order = np.argsort(of_file, kind="stable")
        ends = np.searchsorted(of_file, range(len(self.files) + 1), sorter=order)
        for (path, kind), start, end in zip(self.files, ends, ends[1:], strict=False):
            given = order[start:end]
            yield path, kind, self.row[place[given]], given


def _look_up(keys: Keys, among: Keys) -> tuple[Indices, Flags]:
    """Find where keys stand among others, and which do."""
    order = np.argsort(among, kind="stable")
    places, is_there = _look_up_sorted(keys, among[order])
    return (order[places] if len(among) else places), is_there


def _look_up_sorted(keys: Keys, among: Keys) -> tuple[Indices, Flags]:
    """Find where keys stand among sorted others, and which do."""
    if not len(among):
        return np.zeros(len(keys), dtype=np.intp), np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(among, keys) % len(among)
    return places, among[places] == keys


def _within(progress: Progress | None, start: int, total: int) -> Progress | None:
    """Tell of a chunk in prompts of the whole, up to its last, which is not yet written."""
    if progress is None:
        return None

    def tell(done: int, n_chunk: int) -> None:
        if done < n_chunk:
            progress(start + done, total)

    return tell
