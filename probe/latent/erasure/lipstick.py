"""Whether words of alike bias still cluster together after erasure."""

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double, Matrix, Vector
from probe.errors import DataError, DegenerateDataError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Labels, as_codes
from probe.stats.interval import Interval
from probe.stats.permutation import random_splits, sampled_p
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import PERMUTATIONS, Resampling


@dataclass(frozen=True, kw_only=True)
class ClusterAlignment(Interval):
    """Share of rows in the k-means cluster of their side of the bias, from 1/2 to 1.

    The interval is over words, given the two clusters; ``n`` counts words, half of either side.
    """

    chance: float
    """Mean share by chance, if words were assigned to the two sides at random; above 1/2, as the
    better of the two ways to name the clusters counts."""
    p: float
    """Probability of this share or more by chance: that of a permutation of whole words."""


def clusters_left(
    z: Matrix,
    bias_score: Vector,
    *,
    words: Labels | None = None,
    permutations: Resampling = PERMUTATIONS,
) -> ClusterAlignment:
    """Cluster words after erasure and compare with the bias they had before.

    Erasing a direction hides a bias from the axis but may leave the words where they were relative
    to each other. The words are split in two halves by their bias score before erasure (n,), and
    in two clusters by k-means of their rows ``z`` (n, n_features) after it.

    ``words`` (n,) names the word of each row, where a word is in several prompts: its rows are near
    copies, so their scores are averaged, and they are permuted and drawn together.

    References
    ----------
    Gonen, Goldberg, *Lipstick on a Pig: Debiasing Methods Cover up Systematic Gender Biases in
    Word Embeddings But do not Remove Them*, NAACL 2019, section 4.
    """
    from sklearn.cluster import KMeans

    z = as_embeddings(z)
    codes, values = as_codes(words, n_rows=len(z), name="words")
    if (half := len(values) // 2) < 2:
        raise DataError(f"there are {len(values)} words; needed at least 4 to make two clusters of")
    by_word = np.bincount(codes, weights=bias_score) / np.bincount(codes)
    order = np.argsort(by_word, kind="stable")
    if by_word[order[half - 1]] == by_word[order[-half]]:
        raise DegenerateDataError(
            f"the {half} words of either side reach the same bias score, "
            f"{by_word[order[half - 1]]:.4g}; needed scores that differ"
        )
    low, high = (np.flatnonzero(np.isin(codes, side)) for side in (order[:half], order[-half:]))
    rows, is_high = np.concatenate([low, high]), np.repeat([False, True], [len(low), len(high)])
    chosen = z[rows]
    if np.ptp(chosen, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"the {2 * half} words are all the same after erasure; nothing to cluster"
        )
    kmeans = KMeans(n_clusters=2, n_init=10, random_state=permutations.seed)
    cluster = kmeans.fit_predict(chosen) == 1
    is_aligned = cluster == is_high
    if is_aligned.mean() < 0.5:
        is_aligned = ~is_aligned
    _, of_word, sizes = np.unique(codes[rows], return_inverse=True, return_counts=True)
    hits: Double = np.bincount(of_word, weights=cluster).astype(np.float64)
    by_chance = _aligned_by_chance(hits, sizes, permutations)
    n_extreme = int((by_chance >= is_aligned.sum() - 1e-9).sum())
    found = proportion_interval(is_aligned, clusters=of_word)
    return ClusterAlignment(
        value=found.value,
        low=found.low,
        high=found.high,
        unit="words",
        n=2 * half,
        chance=float(by_chance.mean() / len(rows)),
        p=sampled_p(n_extreme, permutations.n).value,
    )


def _aligned_by_chance(hits: Double, sizes: Counts, permutations: Resampling) -> Double:
    """Numbers of aligned rows when whole words are assigned to the two sides at random."""
    n, n_rows, better = len(sizes), int(sizes.sum()), []
    for mask in random_splits(n, n // 2, permutations.n, permutations.rng()):
        aligned = mask @ hits + (1 - mask) @ (sizes - hits)
        better.append(np.maximum(aligned, n_rows - aligned))
    return np.concatenate(better)
