"""The words and targets of a concept as vectors, from a model's prompts or from imported ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import ArtifactError, DataError, DegenerateDataError
from probe.io.artifacts import hash_parts
from probe.run.files import EMBEDDINGS
from probe.run.folder import Run
from probe.run.imported_vectors import imported_rows, imported_vectors
from probe.text.concepts import Concept
from probe.text.prompts import COLUMNS, ConceptPrompts, PromptSet
from probe.text.vectors import listed

if TYPE_CHECKING:
    from probe.text.embeddings import EmbeddingStore

STORE = "embeddings/concepts"
"""Prompts of concepts that are not among the run's own; those of all concepts share one store."""


@dataclass(frozen=True, eq=False)
class ConceptWords:
    """One vector a word and a target: the mean of the unit embeddings of its prompts."""

    groups: Mapping[str, tuple[str, ...]]
    """Words of each group that are there."""
    targets: tuple[str, ...]
    """Targets that are there."""
    vectors: Mapping[str, Matrix]
    """Shape (n_features,), of each word and target."""
    pairs: tuple[tuple[str, str], ...]
    """Pairs both words of which are there."""
    n_prompts: int
    """Prompts, or imported vectors, that were looked at."""
    note: str = ""
    """What is missing; empty if all is there."""

    def rows(self, words: Sequence[str]) -> Double:
        """Vectors of some words or targets, at least one, of shape (n_words, n_features)."""
        return np.array([self.vectors[word] for word in words], dtype=np.float64)


def gather_words(run: Run, concept: Concept) -> ConceptWords:
    """Find the vectors of a concept, encoding the prompts that have not been encoded yet."""
    return _imported(run, concept) if run.config.is_imported else _embedded(run, concept)


def concept_hash(concept: Concept) -> str:
    """Hash of all that a concept says."""
    targets = [(name, sorted(shares.items())) for name, shares in concept.targets.items()]
    groups = list(concept.groups.items())
    return hash_parts(repr((concept.name, groups, concept.pairs, concept.templates, targets)))


def _imported(run: Run, concept: Concept) -> ConceptWords:
    vectors = imported_vectors(run)
    names = concept.names_in(vectors)
    unit = imported_rows(run, vectors, list(names.values())).unit()
    words = [word for members in concept.groups.values() for word in members]
    missing = [word for word in (*words, *concept.targets) if word not in names]
    return ConceptWords(
        groups={
            group: tuple(word for word in members if word in names)
            for group, members in concept.groups.items()
        },
        targets=tuple(name for name in concept.targets if name in names),
        vectors=dict(zip(names, unit, strict=True)),
        pairs=tuple(pair for pair in concept.pairs if set(pair) <= names.keys()),
        n_prompts=len(unit),
        note=f"not among the imported vectors: {listed(missing)}" if missing else "",
    )


def _embedded(run: Run, concept: Concept) -> ConceptWords:
    prompts = ConceptPrompts.build(concept)
    z, table = _embed(run, prompts), prompts.table
    rows_of = {
        word: np.flatnonzero((table["group"] == group) & (table["word"] == word))
        for group, members in concept.groups.items()
        for word in members
    }
    targets = {name: rows for name, rows in prompts.targets().items() if len(rows)}
    means = {word: z[rows].mean(axis=0) for word, rows in (rows_of | targets).items()}
    if flat := [word for word, mean in means.items() if not mean.any()]:
        raise DegenerateDataError(
            f"the prompts of {flat[0]!r} cancel out: their mean is zero; change the templates"
        )
    note = ""
    if n_missing := len(concept.targets) - len(targets):
        note = f"{n_missing} targets are left out: no template says a {{target}} without a {{word}}"
    groups, pairs = concept.groups, concept.pairs
    return ConceptWords(groups, tuple(targets), means, pairs, len(prompts), note)


def _embed(run: Run, prompts: ConceptPrompts) -> Matrix:
    """Embeddings of a concept's prompts, (n_prompts, n_features), unit rows in double precision."""
    from probe.text.embeddings import EmbeddingStore

    store = EmbeddingStore.open(run.folder / EMBEDDINGS)
    known = set(store.prompt_set.prompts)
    new = [prompt for prompt in prompts.prompts if prompt not in known]
    old = [prompt for prompt in prompts.prompts if prompt in known]
    vector_of = dict(zip(old, store.vectors(old), strict=True)) if old else {}
    if new:
        others = EmbeddingStore(run.folder / STORE)
        if not _has(others, new, run.revision):
            progress = run.progress_on("prompts of the concept")
            others.update(run.load_encoder(), _prompt_set(prompts, new), progress=progress)
        vector_of |= dict(zip(new, others.vectors(new), strict=True))
    return np.array([vector_of[prompt] for prompt in prompts.prompts], dtype=np.float64)


def _has(store: EmbeddingStore, prompts: list[str], revision: str) -> bool:
    """Whether a store has undamaged rows of all prompts, so that no encoder need be loaded."""
    try:
        store.vectors(prompts)
        return store.provenance.revision == revision
    except (ArtifactError, DataError):
        return False


def _prompt_set(prompts: ConceptPrompts, new: list[str]) -> PromptSet:
    """Return the new prompts of a concept; the concept's table has their words."""
    given = {"group": "given", "subject": "", "pair": -1, "split": "", "template_split": ""}
    table = prompts.table[prompts.table["prompt"].isin(new)]
    table = table[["prompt", "template"]].assign(share_women=np.nan, **given)
    return PromptSet(table[list(COLUMNS)].reset_index(drop=True))
