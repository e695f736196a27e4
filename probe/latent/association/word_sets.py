"""Sets of words that association measures compare, and the result of each measure."""

from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Indices, Matrix
from probe.errors import DataError, DegenerateDataError, ProbeError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Labels, as_codes
from probe.stats.interval import Interval
from probe.stats.permutation import PermutationP


@dataclass(frozen=True, eq=False, kw_only=True)
class AssociationResult(Interval):
    """An association measure with its bootstrap interval and permutation test.

    The interval is over all sets of words, whose clusters are drawn anew. ``n`` counts the
    clusters of target words or pairs, which the test permutes. Test and interval answer different
    questions; the test decides whether there is an association.
    """

    p: float
    """P-value of the permutation test."""
    p_low: float
    """Lower limit of the 95 % Clopper-Pearson interval of ``p``; ``p`` itself if it is exact."""
    p_high: float
    """Upper limit of the 95 % Clopper-Pearson interval of ``p``."""
    is_exact: bool
    """True if every permutation was counted."""
    n_splits: int
    """Number of permutations that were counted."""
    by_word: Double
    """What each word contributes; see each measure."""


def as_result(
    value: float, limits: tuple[float, float], p: PermutationP, n: int, by_word: Double
) -> AssociationResult:
    """Join a measure, its limits, its test over n clusters and what each word contributes."""
    return AssociationResult(
        value,
        *limits,
        n=n,
        p=p.value,
        p_low=p.low,
        p_high=p.high,
        is_exact=p.is_exact,
        n_splits=p.n_splits,
        by_word=by_word,
    )


def as_word_sets(**named: Matrix) -> list[Double]:
    """Return sets of words as doubles of shape (n_words, n_features), all of one width.

    Errors name the set.
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
    """Return sets of words, checked as in `as_word_sets`, with rows of norm 1."""
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
    """Return the number of each row's cluster, from 0; each row is one cluster without labels."""
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
