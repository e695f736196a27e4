"""Whether words of alike bias still cluster together after erasure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double, Matrix, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
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
    """Mean share by chance, if the words were dealt to the two sides at random; above 1/2, as the
    better of the two ways to name the clusters counts."""
    p: float
    """Probability of this share or more by chance: that of a permutation of whole words."""


def clusters_left(
    z: Matrix,
    bias_score: Vector,
    *,
    words: Labels | None = None,
    n_words: int = 1000,
    permutations: Resampling = PERMUTATIONS,
) -> ClusterAlignment:
    """Cluster the most biased words after erasure and compare with the bias they had before.

    Erasing a direction hides a bias from the axis but may leave the words where they were
    relative to each other: words near to male ones still have such neighbours. The ``n_words``
    with the strongest bias score, half of either side, are split in two by k-means.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings after erasure.
    bias_score : ndarray of shape (n,)
        Bias score of the same rows before it, for example their projection on the bias axis; the
        sign does not matter, only the order.
    words : array-like of shape (n,), optional
        Word of each row, where a word stands in several prompts: its rows are near copies, so
        their bias scores are averaged, and they are dealt to a side, drawn and permuted together.
    n_words : int, default=1000
        How many words to take; at most all but the middle one are used.
    permutations : Resampling
        Random deals of words to the two sides; of words of one row each, all are counted. Its
        seed is that of k-means too.

    Returns
    -------
    ClusterAlignment

    Raises
    ------
    ValueError
        If ``n_words`` is below 4.
    ShapeError, DataError
        If ``z`` are no finite embeddings, there is not one finite score a row, or there are fewer
        than 4 words.
    DegenerateDataError
        If the scores of the two halves touch, or all chosen embeddings are the same.

    References
    ----------
    Gonen, Goldberg, *Lipstick on a Pig: Debiasing Methods Cover up Systematic Gender Biases in
    Word Embeddings But do not Remove Them*, NAACL 2019, section 4, with 500 words of each side.
    """
    from sklearn.cluster import KMeans

    z, scores = as_embeddings(z), np.asarray(bias_score, dtype=np.float64)
    if scores.shape != (len(z),):
        raise ShapeError(
            f"bias_score has shape {scores.shape}; needed one of each of {len(z)} rows"
        )
    if not np.isfinite(scores).all():
        raise DataError(
            f"{int((~np.isfinite(scores)).sum())} bias scores are not finite; drop their rows"
        )
    if n_words < 4:
        raise ValueError(f"n_words is {n_words}; needed at least 4")
    codes = np.arange(len(z))
    if words is not None:
        codes = as_codes(words, n_rows=len(z), name="words")[0]
    by_word = np.bincount(codes, weights=scores) / np.bincount(codes)
    half = min(n_words, len(by_word)) // 2
    if half < 2:
        raise DataError(
            f"there are {len(by_word)} words; needed at least 4 to make two clusters of"
        )
    order = np.argsort(by_word, kind="stable")
    if by_word[order[half - 1]] == by_word[order[-half]]:
        raise DegenerateDataError(
            f"the {half} words of either side reach the same bias score, "
            f"{by_word[order[half - 1]]:.4g}; needed fewer words, or scores that differ"
        )
    low, high = (np.flatnonzero(np.isin(codes, side)) for side in (order[:half], order[-half:]))
    rows, is_high = np.concatenate([low, high]), np.repeat([False, True], [len(low), len(high)])
    chosen = z[rows]
    if np.ptp(chosen, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"the {2 * half} most biased words are all the same after erasure; nothing to cluster"
        )
    kmeans = KMeans(n_clusters=2, n_init=10, random_state=permutations.seed)
    cluster = kmeans.fit_predict(chosen) == 1
    is_aligned = cluster == is_high
    if is_aligned.mean() < 0.5:
        is_aligned = ~is_aligned
    _, of_word, sizes = np.unique(codes[rows], return_inverse=True, return_counts=True)
    hits: Double = np.bincount(of_word, weights=cluster).astype(np.float64)
    is_single = len(sizes) == len(rows)
    p, chance = (
        _every_deal(int(is_aligned.sum()), int(cluster.sum()), half)
        if is_single
        else _random_deals(int(is_aligned.sum()), hits, sizes, permutations)
    )
    found = proportion_interval(is_aligned, clusters=None if is_single else of_word)
    return ClusterAlignment(
        value=found.value,
        low=found.low,
        high=found.high,
        unit="words",
        n=2 * half,
        chance=chance,
        p=p,
    )


def _every_deal(n_aligned: int, size: int, half: int) -> tuple[float, float]:
    """Exact p-value and mean share, clusters of these sizes given, of words of one row each."""
    from scipy.stats import hypergeom

    hits = np.arange(max(0, size - half), min(size, half) + 1)  # of the high half in the cluster
    aligned = half - size + 2 * hits
    better = np.maximum(aligned, 2 * half - aligned)
    weight = hypergeom(2 * half, half, size).pmf(hits)
    chance = float(better @ weight / weight.sum() / (2 * half))
    return float(min(1.0, weight[better >= n_aligned].sum())), chance


def _random_deals(
    n_aligned: int, hits: Double, sizes: Counts, permutations: Resampling
) -> tuple[float, float]:
    """P-value and mean share when whole words are dealt to the two sides at random."""
    n, n_rows, better = len(sizes), int(sizes.sum()), []
    for mask in random_splits(n, n // 2, permutations.n, permutations.rng()):
        aligned = mask @ hits + (1 - mask) @ (sizes - hits)
        better.append(np.maximum(aligned, n_rows - aligned))
    drawn = np.concatenate(better)
    n_extreme = int((drawn >= n_aligned - 1e-9).sum())
    return sampled_p(n_extreme, permutations.n).value, float(drawn.mean() / n_rows)
