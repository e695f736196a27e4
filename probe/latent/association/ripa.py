"""RIPA: how do attributes lie along the differences of pairs?"""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import ShapeError
from probe.latent.association.result import AssociationResult, as_result
from probe.latent.association.word_sets import as_clusters, as_word_sets, unit_rows
from probe.latent.labels import Labels
from probe.stats.permutation import sign_flip_p
from probe.stats.resampling import (
    BOOTSTRAP,
    PERMUTATIONS,
    Resampling,
    percentile_limits,
    resampled_estimates,
    resampled_weights,
)


def ripa(
    targets_x: Matrix,
    targets_y: Matrix,
    attributes: Matrix,
    *,
    pair_clusters: Labels | None = None,
    permutations: Resampling = PERMUTATIONS,
    resampling: Resampling = BOOTSTRAP,
) -> AssociationResult:
    """Measure how attributes lie along the differences of pairs (relational inner product).

    ``mean_a mean_i <a, b_i>`` with ``b_i = (x_i - y_i) / ||x_i - y_i||``. The test swaps the two
    words of pairs, i.e. flips signs of the ``b_i``: with one pair, p is always 1.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_pairs, n_features)
        Embeddings of the words of the pairs; row i of both is one pair.
    attributes : ndarray of shape (n_attributes, n_features)
        Embeddings of the attribute words; not normalised, as their lengths belong to the measure.
    pair_clusters : array-like of shape (n_pairs,), optional
        What each pair is a near copy of, e.g. the word pair that stands in several templates.
        Clusters are swapped and drawn whole.
    permutations, resampling : Resampling
        Of the test, and of the interval.

    Returns
    -------
    AssociationResult
        In embedding units. 0 means no association; positive that attributes are nearer to X.
        ``by_word`` is the value of each attribute; ``n`` counts clusters of pairs. The value
        depends strongly on the pairs: read the interval first.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, of another width, or the pairs are not aligned.
    DegenerateDataError
        If the two words of a pair have the same embedding.

    References
    ----------
    Ethayarajh, Duvenaud, Hirst, *Understanding Undesirable Word Embedding Associations*,
    ACL 2019.
    """
    x, y, attributes = as_word_sets(targets_x=targets_x, targets_y=targets_y, attributes=attributes)
    if len(x) != len(y):
        raise ShapeError(
            f"targets_x has {len(x)} words and targets_y {len(y)}; needed pairs: row i of both"
        )
    of_pairs = as_clusters(pair_clusters, x, "the pairs")
    along = attributes @ unit_rows(x - y, "differences of the pairs").T  # (n_attributes, n_pairs)

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        words = resampled_weights(np.arange(len(attributes)), size, rng)
        drawn: Double = ((words @ along) * resampled_weights(of_pairs, size, rng)).sum(axis=1)
        return drawn

    by_cluster: Double = np.bincount(of_pairs, along.mean(axis=0)).astype(np.float64)
    p = sign_flip_p(by_cluster, permutations=permutations)
    draws = resampled_estimates(of_draw, len(attributes) + len(x), resampling)
    by_word = along.mean(axis=1)
    return as_result(float(by_word.mean()), percentile_limits(draws), p, len(by_cluster), by_word)
