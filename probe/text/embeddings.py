"""Embeddings on the disk: no prompt is encoded twice, and nothing is lost when a run is killed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from probe.artifacts import (
    Provenance,
    exclusive,
    hash_parts,
    read_table,
    read_tensors,
    write_table,
    write_tensors,
)
from probe.errors import ArtifactError, DataError
from probe.text.prompts import PromptSet

if TYPE_CHECKING:
    from probe.text.encoder import Progress, TextEncoder

Matrix = npt.NDArray[np.float32]

CHUNK = 64
"""Prompts that are encoded together and written at once."""


@dataclass(frozen=True, eq=False)
class EmbeddingStore:
    """A folder with ``prompts.parquet`` and, row by row beside it, ``states.safetensors``.

    The states are the pooled, L2-normalised ones of `TextEncoder.embed`.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> EmbeddingStore:
        """Open a store that has been filled, and check that it is whole.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or the two do not belong together.
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
        return self._read()[2]

    def vectors(self, prompts: Sequence[str] | None = None) -> Matrix:
        """Look up embeddings, of shape (n_prompts, n_features); all of them if none are named.

        Raises
        ------
        DataError
            If a prompt has not been embedded.
        """
        prompt_set, vectors, _ = self._read()
        if prompts is None:
            return vectors
        row_of = {prompt: row for row, prompt in enumerate(prompt_set.prompts)}
        if missing := [prompt for prompt in prompts if prompt not in row_of]:
            raise DataError(
                f"{self.folder} holds no embedding of {missing[0]!r} ({len(missing)} missing); "
                "embed a prompt set that has it"
            )
        return vectors[[row_of[prompt] for prompt in prompts]]

    def update(
        self,
        encoder: TextEncoder,
        prompt_set: PromptSet,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Make the store hold exactly the rows of a prompt set, in its order.

        Embeddings that stand there already, made by the same revision of the encoder, are kept.
        The others are encoded in chunks that are written one by one: after an interruption the
        same call goes on with the next chunk, and the files end up with the same bytes.

        Parameters
        ----------
        encoder : TextEncoder
        prompt_set : PromptSet
        progress : callable, optional
            Called with (done, total) of the prompts that had to be encoded.

        Returns
        -------
        int
            How many prompts were encoded by this call.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to.
        BusyError
            If another process is filling the same store.
        """
        provenance = Provenance(
            kind="states",
            model=encoder.id,
            revision=encoder.revision,
            seed=None,
            made_from=prompt_set.hash,
        )
        with exclusive(self.folder):
            known = self._known(encoder)
            missing = [p for p in dict.fromkeys(prompt_set.prompts) if _key(p) not in known]
            n_encoded = 0
            for start in range(0, len(missing), CHUNK):
                chunk = missing[start : start + CHUNK]
                path = self._chunks / f"{hash_parts(encoder.revision, *chunk)}.safetensors"
                if not path.exists():
                    piece = {"vectors": encoder.embed(chunk, batch_size=CHUNK)}
                    write_tensors(path, piece, replace(provenance, kind="chunk"))
                    n_encoded += len(chunk)
                arrays, _ = read_tensors(path, kind="chunk")
                known.update(zip(map(_key, chunk), arrays["vectors"], strict=True))
                if progress is not None:
                    progress(start + len(chunk), len(missing))
            keys = _keys(prompt_set)
            vectors = np.array([known[int(key)] for key in keys], dtype=np.float32)
            vectors = vectors.reshape(len(keys), encoder.n_features)
            write_tensors(self._states, {"keys": keys, "vectors": vectors}, provenance)
            write_table(self._table, prompt_set.table, replace(provenance, kind="prompts"))
            if self._chunks.exists():
                shutil.rmtree(self._chunks)
        return n_encoded

    @property
    def _table(self) -> Path:
        return self.folder / "prompts.parquet"

    @property
    def _states(self) -> Path:
        return self.folder / "states.safetensors"

    @property
    def _chunks(self) -> Path:
        return self.folder / ".chunks"

    def _read(self) -> tuple[PromptSet, Matrix, Provenance]:
        table, _ = read_table(self._table, kind="prompts")
        arrays, provenance = read_tensors(self._states, kind="states")
        prompt_set = PromptSet(table)
        if not np.array_equal(arrays["keys"], _keys(prompt_set)):
            raise ArtifactError(
                f"{self._states} is not of the prompts in {self._table}; embed them again"
            )
        return prompt_set, arrays["vectors"], provenance

    def _known(self, encoder: TextEncoder) -> dict[int, Matrix]:
        """Vectors that stand in the store, by key; none if another encoder made them."""
        if not self._states.exists():
            return {}
        arrays, provenance = read_tensors(self._states, kind="states")
        if provenance.revision != encoder.revision:
            return {}
        return dict(zip(arrays["keys"].tolist(), arrays["vectors"], strict=True))


def _key(prompt: str) -> int:
    return int(hash_parts(prompt), 16)


def _keys(prompt_set: PromptSet) -> npt.NDArray[np.uint64]:
    return np.array([_key(prompt) for prompt in prompt_set.prompts], dtype=np.uint64)
