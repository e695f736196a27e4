"""Sets of words as association tests take them: checked, with the set named in every error."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Indices, Matrix
from probe.errors import DataError, DegenerateDataError, ProbeError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Labels, as_codes


def as_word_sets(**named: Matrix) -> list[Double]:
    """Return sets of words as doubles of shape (n_words, n_features), all of one width.

    Raises
    ------
    ShapeError, DataError
        If a set is no table of finite numbers, is empty, or has another width than the first.
    """
    sets: list[Double] = []
    for name, rows in named.items():
        try:
            words = as_embeddings(rows, n_features=sets[0].shape[1] if sets else None)
        except ProbeError as error:
            raise type(error)(f"{name}: {error}") from error
        if not len(words):
            raise DataError(f"{name} is empty; needed at least 1 word")
        sets.append(words)
    return sets


def as_unit_sets(**named: Matrix) -> list[Double]:
    """Return sets of words with rows of norm 1.

    Raises
    ------
    DegenerateDataError
        If a row is zero, so that it has no direction.
    ShapeError, DataError
        As in `as_word_sets`.
    """
    return [
        unit_rows(words, name) for name, words in zip(named, as_word_sets(**named), strict=True)
    ]


def unit_rows(words: Double, name: str) -> Double:
    """Divide each row by its norm."""
    norms = np.linalg.norm(words, axis=-1, keepdims=True)
    if (n_zero := int((norms == 0.0).sum())) > 0:
        raise DegenerateDataError(
            f"{name}: {n_zero} of {norms.size} embeddings are zero and have no direction; drop them"
        )
    unit: Double = words / norms
    return unit


def as_clusters(clusters: Labels | None, words: Double, name: str) -> Indices:
    """Return the number of each row's cluster, from 0; each row is one cluster without labels.

    Raises
    ------
    ShapeError
        If there is not one label a row.
    """
    if clusters is None:
        return np.arange(len(words))
    return as_codes(clusters, n_rows=len(words), name=f"clusters of {name}")[0]


def as_target_clusters(
    clusters: tuple[Labels, Labels] | None, x: Double, y: Double
) -> tuple[Indices, Indices]:
    """Return the clusters of two target sets; those of Y are numbered after those of X."""
    of_x, of_y = clusters or (None, None)
    first = as_clusters(of_x, x, "targets_x")
    return first, int(first.max()) + 1 + as_clusters(of_y, y, "targets_y")
