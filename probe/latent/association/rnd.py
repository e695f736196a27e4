"""RND: are attributes nearer to one group of words than to another?"""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.latent.association.result import AssociationResult, as_result
from probe.latent.association.word_sets import as_target_clusters, as_word_sets
from probe.latent.labels import Labels
from probe.stats.permutation import Alternative, splits_p
from probe.stats.resampling import (
    BOOTSTRAP,
    PERMUTATIONS,
    Resampling,
    percentile_limits,
    resampled_estimates,
    resampled_weights,
)


def rnd(
    targets_x: Matrix,
    targets_y: Matrix,
    attributes: Matrix,
    *,
    target_clusters: tuple[Labels, Labels] | None = None,
    alternative: Alternative = "two-sided",
    permutations: Resampling = PERMUTATIONS,
    resampling: Resampling = BOOTSTRAP,
) -> AssociationResult:
    """Measure how much more distant attributes are from X than from Y (relative norm distance).

    ``mean_a (||a - mean_x x|| - ||a - mean_y y||)``, of the embeddings as given: normalise them
    first if their lengths mean nothing. The test splits the words of X and Y anew.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_x, n_features), (n_y, n_features)
        Embeddings of the words of the two groups.
    attributes : ndarray of shape (n_attributes, n_features)
        Embeddings of the attribute words, independent of one another: average near copies first.
    target_clusters : pair of array-like, of shape (n_x,) and (n_y,), optional
        What each row is a near copy of, e.g. the word that stands in several templates. Clusters
        are split and drawn whole.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        What counts as extreme.
    permutations : Resampling
        Random splits, if there are more than 100,000.
    resampling : Resampling
        Of the interval.

    Returns
    -------
    AssociationResult
        In embedding units. 0 means that attributes are as distant from X as from Y; positive that
        they are nearer to Y. ``by_word`` is the difference of distances of each attribute; ``n``
        counts the clusters of X and Y.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, or of another width.
    ValueError
        If an option is out of range.

    References
    ----------
    Garg, Schiebinger, Jurafsky, Zou, *Word embeddings quantify 100 years of gender and ethnic
    stereotypes*, PNAS 115 (2018), relative norm distance, which they sum over the attributes; the
    mean does not grow with their number.
    """
    x, y, attributes = as_word_sets(targets_x=targets_x, targets_y=targets_y, attributes=attributes)
    of_x, of_y = as_target_clusters(target_clusters, x, y)
    n_first = int(of_x.max()) + 1
    norms = (attributes**2).sum(axis=1)
    targets = np.concatenate([x, y])
    gram, to_attributes = targets @ targets.T, targets @ attributes.T

    def distances(weights: Double, words: slice) -> Double:
        # ||a - m||^2 by inner products: no mean of any draw is ever formed
        own = ((weights @ gram[words, words]) * weights).sum(axis=1, keepdims=True)
        squares = own + norms - 2 * weights @ to_attributes[words]
        found: Double = np.sqrt(np.maximum(squares, 0.0))  # (n_draws, n_attributes)
        return found

    def of_splits(first: Double, second: Double) -> Double:
        every = slice(None)
        found: Double = (distances(first, every) - distances(second, every)).mean(axis=1)
        return found

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        found = distances(resampled_weights(of_x, size, rng), slice(len(x)))
        found -= distances(resampled_weights(of_y - n_first, size, rng), slice(len(x), None))
        drawn: Double = (found * resampled_weights(np.arange(len(attributes)), size, rng)).sum(
            axis=1
        )
        return drawn

    by_word = np.linalg.norm(attributes - x.mean(axis=0), axis=1)
    by_word -= np.linalg.norm(attributes - y.mean(axis=0), axis=1)
    n_cells = len(targets) + len(attributes)
    p = splits_p(
        of_splits,
        np.concatenate([of_x, of_y]),
        n_first,
        alternative=alternative,
        n_cells=n_cells,
        permutations=permutations,
    )
    draws = resampled_estimates(of_draw, n_cells, resampling)
    n_clusters = int(of_y.max()) + 1
    return as_result(float(by_word.mean()), percentile_limits(draws), p, n_clusters, by_word)
