"""Embeddings of a run for other programs: every prompt once, in the format its file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.run.files import EMBEDDINGS
from probe.run.folder import Run
from probe.run.imported_vectors import imported_vectors
from probe.run.registry import Record
from probe.run.user_prompts import USER_PROMPTS


@dataclass(frozen=True)
class ExportResult(Record):
    """What was written."""

    path: str
    n_prompts: int
    """Prompts, or names of imported vectors."""
    n_features: int

    def summary(self) -> str:
        """One line."""
        return f"{self.path}: {self.n_prompts} prompts, {self.n_features} features each"


def export_embeddings(run: Run, path: Path) -> ExportResult:
    """Write the embeddings of a run's prompts, the user's own after the others.

    Imported vectors go out as they came.

    Raises
    ------
    ValueError
        If the format is unknown.
    """
    from probe.text.embeddings import EmbeddingStore
    from probe.text.vector_files import write_vectors
    from probe.text.vectors import NamedVectors

    if run.config.is_imported:
        vectors = imported_vectors(run)
        write_vectors(vectors, path)
        return ExportResult(str(path), len(vectors), vectors.n_features)
    stores = [EmbeddingStore.open(run.folder / EMBEDDINGS)]
    if run.config.embed.prompts:
        stores.append(EmbeddingStore.open(run.folder / USER_PROMPTS))
    prompts = [prompt for store in stores for prompt in store.prompt_set.prompts]
    # A prompt of the user may be in the lexicon too: equal prompts have equal rows.
    first = {prompt: row for row, prompt in reversed(list(enumerate(prompts)))}
    names = list(dict.fromkeys(prompts))
    matrix = np.concatenate([store.vectors() for store in stores])[[first[name] for name in names]]
    write_vectors(NamedVectors(tuple(names), matrix, run.folder.name), path)
    return ExportResult(str(path), len(names), matrix.shape[1])
