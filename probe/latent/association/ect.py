"""ECT: do two groups of words rank attributes alike?"""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError
from probe.latent.association.result import AssociationResult, as_result
from probe.latent.association.word_sets import (
    as_target_clusters,
    as_unit_sets,
    as_word_sets,
    unit_rows,
)
from probe.latent.directions import rounding
from probe.latent.labels import Labels
from probe.stats.correlation import rank_correlation_limits
from probe.stats.permutation import splits_p
from probe.stats.resampling import (
    BOOTSTRAP,
    PERMUTATIONS,
    Resampling,
    resampled_estimates,
    resampled_weights,
)


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

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, of another width, or holds too few attributes.
    DegenerateDataError
        If a mean is zero, or all attributes are as near to a mean.
    ValueError
        If an option is out of range.

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


def _rank_correlations(first: Double, second: Double) -> Double:
    """Spearman's correlation of each pair of rows; not finite where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        r: Double = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return r
