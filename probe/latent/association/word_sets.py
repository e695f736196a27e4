"""Sets of words as association tests take them: checked, with the set named in every error."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError, ProbeError, ShapeError
from probe.latent.directions import as_embeddings


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


def as_sentence_sets(**named: Matrix) -> list[Double]:
    """Return sets of words, each in the same sentences, as unit rows.

    A set has the shape (n_words, n_sentences, n_features); the number of sentences may differ
    from set to set.

    Raises
    ------
    ShapeError, DataError, DegenerateDataError
        As in `as_unit_sets`.
    """
    for name, words in named.items():
        if np.ndim(words) != 3:
            raise ShapeError(
                f"{name} has shape {np.shape(words)}; needed (n_words, n_sentences, n_features)"
            )
    flat = as_unit_sets(**{n: np.reshape(w, (-1, np.shape(w)[-1])) for n, w in named.items()})
    return [
        rows.reshape(*np.shape(words)[:2], -1)
        for rows, words in zip(flat, named.values(), strict=True)
    ]
