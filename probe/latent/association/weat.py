"""WEAT and SEAT: are two sets of targets associated differently with two sets of attributes?"""

import numpy as np

from probe.arrays import Double, Indices, Matrix
from probe.errors import DegenerateDataError
from probe.latent.association.word_sets import (
    AssociationResult,
    as_clusters,
    as_result,
    as_target_clusters,
    as_unit_sets,
)
from probe.latent.labels import Labels
from probe.stats.permutation import MAX_SUMS, split_sums_p
from probe.stats.resampling import (
    BOOTSTRAP,
    PERMUTATIONS,
    Resampling,
    percentile_limits,
    resampled_estimates,
    resampled_weights,
)


def weat(
    targets_x: Matrix,
    targets_y: Matrix,
    attrs_a: Matrix,
    attrs_b: Matrix,
    *,
    target_clusters: tuple[Labels, Labels] | None = None,
    attribute_clusters: tuple[Labels, Labels] | None = None,
    ddof: int = 1,
    permutations: Resampling = PERMUTATIONS,
    max_sums: int = MAX_SUMS,
    resampling: Resampling = BOOTSTRAP,
) -> AssociationResult:
    """Test whether two sets of targets are associated differently with two sets of attributes.

    With ``s(w) = mean_a cos(w, a) - mean_b cos(w, b)``, the effect size (WEAT-ES) is
    ``(mean_x s(x) - mean_y s(y)) / std_w s(w)`` over all targets. The p-value is the share of the
    splits of the targets into two sets of these sizes whose difference of means is at least the
    observed one, which counts itself; see `probe.stats.permutation.split_sums_p` for how all
    9.1e9 splits of 18 and 18 words are counted.

    With ``target_clusters`` this is SEAT, of words in sentences: sentences of one word
    are near copies of one another, so the test and the interval move words with all their
    sentences.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_x, n_features), (n_y, n_features)
        Embeddings of the targets. Rows need not be normalised.
    attrs_a, attrs_b : ndarray of shape (n_a, n_features), (n_b, n_features)
        Embeddings of the attributes.
    target_clusters : pair of array-like, of shape (n_x,) and (n_y,), optional
        What each target is a near copy of: its word.
    attribute_clusters : pair of array-like, of shape (n_a,) and (n_b,), optional
        Likewise for the attributes.
    ddof : int, default=1
        Of the standard deviation: 1 as Caliskan et al. print it, 0 as in WEFE.
    permutations : Resampling
        Random splits where they are too many to count.
    max_sums : int, default=2**18
        Subset sums in memory up to which all splits are counted (two sets of 18 words); 0 always
        draws.
    resampling : Resampling
        Of the interval; each draw draws every set from itself.

    Returns
    -------
    AssociationResult
        In standard deviations. 0 means no association, positive that X is nearer to A and Y to B;
        from -2 to 2 if X and Y are equally many and ``ddof`` is 0. ``by_word`` is s of every
        target, X before Y; ``n`` counts the clusters of X and Y. The interval covers the effect
        size of sets of these sizes, drawn from the same concepts.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, or of another width.
    DegenerateDataError
        If a row is zero, or every target has the same association, so that the scale is zero.

    References
    ----------
    Caliskan, Bryson, Narayanan, *Semantics derived automatically from language corpora contain
    human-like biases*, Science 356 (2017). Their p-value counts splits that exceed the observed
    one; here equal ones count too, so that p is never 0. May, Wang, Bordia, Bowman, Rudinger, *On
    Measuring Social Biases in Sentence Encoders*, NAACL 2019, for SEAT.
    """
    x, y, a, b = as_unit_sets(
        targets_x=targets_x, targets_y=targets_y, attrs_a=attrs_a, attrs_b=attrs_b
    )
    of_a, of_b = attribute_clusters or (None, None)
    codes = (
        *as_target_clusters(target_clusters, x, y),
        as_clusters(of_a, a, "attrs_a"),
        as_clusters(of_b, b, "attrs_b"),
    )
    targets, of_targets = np.concatenate([x, y]), np.concatenate(codes[:2])
    to_a, to_b = targets @ a.T, targets @ b.T
    scores = to_a.mean(axis=1) - to_b.mean(axis=1)
    value = _effect_size(scores, len(x), ddof)
    by_cluster = np.bincount(of_targets, weights=scores) / np.bincount(of_targets)
    p = split_sums_p(
        by_cluster,
        int(codes[0].max()) + 1,
        alternative="greater",
        permutations=permutations,
        max_sums=max_sums,
    )
    draws = _draw_effects(to_a, to_b, codes, ddof, resampling)
    return as_result(value, percentile_limits(draws), p, len(by_cluster), scores)


def _effect_size(scores: Double, n_x: int, ddof: int) -> float:
    if not 0 <= ddof < scores.size:
        raise ValueError(f"ddof is {ddof}; needed 0 to {scores.size - 1} for {scores.size} scores")
    spread = float(scores.std(ddof=ddof))
    if spread <= 1e-12:  # scores are differences of cosines: this is their rounding
        raise DegenerateDataError(
            f"all {scores.size} targets have the same association, {scores[0]:.4g}, so the "
            "effect size has no scale; needed targets that differ"
        )
    return float(scores[:n_x].mean() - scores[n_x:].mean()) / spread


def _draw_effects(
    to_a: Double, to_b: Double, codes: tuple[Indices, ...], ddof: int, resampling: Resampling
) -> Double:
    """Redraw every set; a draw is a row of weights, so all draws are products of matrices."""
    (n, n_a), n_b, n_x = to_a.shape, to_b.shape[1], len(codes[0])
    of_x, of_y, of_a, of_b = codes
    of_y = of_y - of_y.min()

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        scores = resampled_weights(of_a, size, rng) @ to_a.T
        scores -= resampled_weights(of_b, size, rng) @ to_b.T  # (size, n)
        weights_x = resampled_weights(of_x, size, rng)
        weights_y = resampled_weights(of_y, size, rng)
        mean_x = (weights_x * scores[:, :n_x]).sum(axis=1)
        mean_y = (weights_y * scores[:, n_x:]).sum(axis=1)
        weights = np.concatenate([n_x * weights_x, (n - n_x) * weights_y], axis=1) / n
        mean = (weights * scores).sum(axis=1)
        variance = np.maximum((weights * scores**2).sum(axis=1) - mean**2, 0.0) * n / (n - ddof)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(variance > 1e-24, (mean_x - mean_y) / np.sqrt(variance), np.nan)

    return resampled_estimates(of_draw, 2 * n + n_a + n_b, resampling)
