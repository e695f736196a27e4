"""Whether words that leaned the same way still stand together after erasure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Matrix, Vector
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import as_embeddings
from probe.stats.proportion import proportion_interval


@dataclass(frozen=True)
class ClusterAlignment:
    """How well two clusters of erased embeddings agree with the lean before erasure."""

    accuracy: float
    """Share of rows in the cluster of their lean, from 1/2 (none is left) to 1 (all of it)."""
    low: float
    """Lower end of the exact 95 % interval, given the clusters."""
    high: float
    """Upper end of it."""
    chance: float
    """Mean accuracy of clusters of these sizes that know nothing of the lean; above 1/2, as the
    better of the two ways to name the clusters counts."""
    p: float
    """Exact probability of this accuracy or more by chance, clusters of these sizes given."""
    n: int
    """Number of rows: the most biased ones, half of either side."""


def clusters_left(
    z: Matrix, lean: Vector, *, n_words: int = 1000, seed: int = 0
) -> ClusterAlignment:
    """Cluster the most biased words after erasure and compare with how they leaned before.

    Erasing a direction hides a bias from the axis but may leave the words where they were
    relative to each other: whoever leaned to male still has neighbours that did. The ``n_words``
    with the strongest lean, half of either side, are split in two by k-means.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings after erasure.
    lean : ndarray of shape (n,)
        Lean of the same rows before it, for example their projection on the bias axis or their
        bias score; the sign does not matter, only the order.
    n_words : int, default=1000
        How many rows to take; at most all but the middle one are used.
    seed : int, default=0
        Seed of k-means.

    Returns
    -------
    ClusterAlignment
        Accuracy with interval, chance and exact p.

    Raises
    ------
    ValueError
        If ``n_words`` is below 4.
    ShapeError, DataError
        If ``z`` are no finite embeddings, there is not one finite lean a row, or there are fewer
        than 4 rows.
    DegenerateDataError
        If the leans of the two halves touch, or all chosen embeddings are the same.

    References
    ----------
    Gonen, Goldberg, *Lipstick on a Pig: Debiasing Methods Cover up Systematic Gender Biases in
    Word Embeddings But do not Remove Them*, NAACL 2019, section 4, with 500 words of each side.
    """
    from scipy.stats import hypergeom
    from sklearn.cluster import KMeans

    z = as_embeddings(z)
    lean = np.asarray(lean, dtype=np.float64)
    if lean.shape != (len(z),):
        raise ShapeError(f"lean has shape {lean.shape}; needed one of each of {len(z)} rows")
    if not np.isfinite(lean).all():
        raise DataError(f"{int((~np.isfinite(lean)).sum())} leans are not finite; drop their rows")
    if n_words < 4:
        raise ValueError(f"n_words is {n_words}; needed at least 4")
    half = min(n_words, len(z)) // 2
    if half < 2:
        raise DataError(f"there are {len(z)} rows; needed at least 4 to make two clusters of")
    order = np.argsort(lean, kind="stable")
    if lean[order[half - 1]] == lean[order[-half]]:
        raise DegenerateDataError(
            f"the {half} words of either side reach the same lean, {lean[order[half - 1]]:.4g}; "
            "needed fewer words, or leans that differ"
        )
    chosen = z[np.concatenate([order[:half], order[-half:]])]
    if np.ptp(chosen, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"the {2 * half} most biased rows are all the same after erasure; nothing to cluster"
        )
    is_high = np.arange(2 * half) >= half
    cluster = KMeans(n_clusters=2, n_init=10, random_state=seed).fit_predict(chosen) == 1
    is_aligned = cluster == is_high
    if is_aligned.mean() < 0.5:
        is_aligned = ~is_aligned
    found = proportion_interval(is_aligned)
    # hits among the high half, clusters of these sizes given; aligned = half - size + 2 hits
    size = int(cluster.sum())
    hits = np.arange(max(0, size - half), min(size, half) + 1)
    aligned = half - size + 2 * hits
    better = np.maximum(aligned, 2 * half - aligned)
    weight = hypergeom(2 * half, half, size).pmf(hits)
    return ClusterAlignment(
        accuracy=found.value,
        low=found.low,
        high=found.high,
        chance=float(better @ weight / weight.sum() / (2 * half)),
        p=float(min(1.0, weight[better >= is_aligned.sum()].sum())),
        n=2 * half,
    )
