"""Association of attributes with two groups of words: RND, ECT and RIPA."""

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.association.word_sets import (
    AssociationResult,
    as_clusters,
    as_result,
    as_target_clusters,
    as_unit_sets,
    as_word_sets,
    unit_rows,
)
from probe.latent.directions import rounding
from probe.latent.labels import Labels
from probe.stats.correlation import rank_correlation_limits
from probe.stats.permutation import sign_flip_p, splits_p
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
        What each row is a near copy of, e.g. a word in several templates. Clusters
        are split and drawn whole.
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
        alternative="two-sided",
        n_cells=n_cells,
        permutations=permutations,
    )
    draws = resampled_estimates(of_draw, n_cells, resampling)
    n_clusters = int(of_y.max()) + 1
    return as_result(float(by_word.mean()), percentile_limits(draws), p, n_clusters, by_word)


def ect(
    targets_x: Matrix,
    targets_y: Matrix,
    attributes: Matrix,
    *,
    target_clusters: tuple[Labels, Labels] | None = None,
    permutations: Resampling = PERMUTATIONS,
    resampling: Resampling = BOOTSTRAP,
) -> AssociationResult:
    """Measure whether X and Y rank attributes alike (embedding coherence test).

    Spearman's rank correlation between ``cos(mean_x x, a)`` and ``cos(mean_y y, a)`` over the
    attributes. The p-value is the share of splits of X and Y whose coherence is as low as the
    observed one or lower: small if the two groups differ more than random halves of them.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_x, n_features), (n_y, n_features)
        Embeddings of the words of the two groups.
    attributes : ndarray of shape (n_attributes, n_features)
        Embeddings of at least 3 attribute words.
    target_clusters, permutations, resampling
        As in `rnd`.

    Returns
    -------
    AssociationResult
        From -1 to 1. 1 means that X and Y rank all attributes alike: no bias; 0 that the two
        rankings have nothing in common. ``by_word`` is the difference of the two cosines of each
        attribute, positive if it is nearer to X; ``n`` counts the clusters of X and Y.

    References
    ----------
    Dev and Phillips, *Attenuating Bias in Word Vectors*, AISTATS 2019.
    """
    x, y = as_word_sets(targets_x=targets_x, targets_y=targets_y)
    _, attributes = as_unit_sets(targets_x=targets_x, attributes=attributes)
    if len(attributes) < 3:
        raise DataError(f"a ranking needs at least 3 attributes, got {len(attributes)}")
    n_x, n_cells = len(x), len(x) + len(y) + 2 * len(attributes)
    of_x, of_y = as_target_clusters(target_clusters, x, y)
    n_first = int(of_x.max()) + 1
    to_attributes = np.concatenate([x, y]) @ attributes.T
    # cosines to a mean are inner products to it up to one factor, which changes no rank
    nearness = np.stack([to_attributes[:n_x].mean(axis=0), to_attributes[n_x:].mean(axis=0)])
    means = np.stack([x.mean(axis=0), y.mean(axis=0)])
    if np.linalg.norm(means, axis=1).min() <= rounding(np.float64, x, y):
        raise DegenerateDataError(
            "the mean of X or of Y is zero, and nothing is near to it; needed words that differ "
            "from their negatives"
        )
    means = unit_rows(means, "means")
    value = float(_rank_correlations(nearness[:1], nearness[1:])[0])
    if not np.isfinite(value):
        raise DegenerateDataError(
            f"all {len(attributes)} attributes are as near to the mean of X, or of Y; needed "
            "attributes that differ"
        )

    def of_splits(first: Double, second: Double) -> Double:
        return _rank_correlations(first @ to_attributes, second @ to_attributes)

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        first = resampled_weights(of_x, size, rng) @ to_attributes[:n_x]
        second = resampled_weights(of_y - n_first, size, rng) @ to_attributes[n_x:]
        chosen = rng.integers(len(attributes), size=(size, len(attributes)))
        return _rank_correlations(
            np.take_along_axis(first, chosen, axis=1), np.take_along_axis(second, chosen, axis=1)
        )

    p = splits_p(
        of_splits,
        np.concatenate([of_x, of_y]),
        n_first,
        alternative="less",
        n_cells=n_cells,
        permutations=permutations,
    )
    draws = resampled_estimates(of_draw, n_cells, resampling)
    limits = rank_correlation_limits(value, draws, len(attributes))
    by_word = attributes @ means[0] - attributes @ means[1]
    return as_result(value, limits, p, int(of_y.max()) + 1, by_word)


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
        What each pair is a near copy of, e.g. a word pair in several templates.
        Clusters are swapped and drawn whole.
    permutations, resampling : Resampling
        Of the test, and of the interval.

    Returns
    -------
    AssociationResult
        In embedding units. 0 means no association; positive that attributes are nearer to X.
        ``by_word`` is the value of each attribute; ``n`` counts clusters of pairs. The value
        depends strongly on the pairs: read the interval first.

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


def _rank_correlations(first: Double, second: Double) -> Double:
    """Spearman's correlation of each pair of rows; not finite where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        r: Double = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return r
