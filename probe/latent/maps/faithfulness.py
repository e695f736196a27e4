"""How much of the neighbourhoods a map of embeddings keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError, ShapeError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Codes
from probe.stats.mean import mean_interval
from probe.stats.resampling import BOOTSTRAP, Resampling

_CELLS = 4_000_000  # distances in memory at once, 32 MB: bounds memory, not the result


@dataclass(frozen=True)
class MapFaithfulness:
    """What a map keeps of who is near whom, each with its 95 % bootstrap interval over rows."""

    trustworthiness: float
    """From 0 to 1: 1 if every neighbour on the map was one before; falls with the rank that the
    false ones had."""
    trustworthiness_low: float
    trustworthiness_high: float
    kept: float
    """Share of the neighbours before that are neighbours on the map, from 0 to 1."""
    kept_low: float
    kept_high: float
    chance: float
    """Share kept by a map that places rows at random."""
    n_neighbors: int
    n: int
    """Number of rows."""

    def caption(self) -> str:
        """Both figures in a line, as a map should state them."""
        return (
            f"trustworthiness {self.trustworthiness:.2f}, {self.kept:.0%} of {self.n_neighbors} "
            f"neighbours kept (chance {self.chance:.0%})"
        )


def map_faithfulness(
    z: Matrix, places: Matrix, *, n_neighbors: int = 15, resampling: Resampling = BOOTSTRAP
) -> MapFaithfulness:
    """Compare the neighbours of embeddings, by cosine, with their neighbours on a map.

    With the k nearest neighbours before and on the map, and r(i, j) the rank of j among the
    neighbours of i before, trustworthiness is
    ``1 - 2 / (n k (2n - 3k - 1)) sum_i sum_{j false} (r(i, j) - k)``, over the neighbours on the
    map that were none before.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings.
    places : ndarray of shape (n, 2)
        Where the same rows stand on the map; compared by distance.
    n_neighbors : int, default=15
        Size k of a neighbourhood; less than half of n is used at most.
    resampling : Resampling

    Returns
    -------
    MapFaithfulness
        Both figures with intervals, chance, and the size that was used.

    Raises
    ------
    ValueError
        If ``n_neighbors`` is below 1.
    ShapeError, DataError
        If the two do not have the same rows, at least 3, or a value is not finite.

    References
    ----------
    Venna, Kaski, *Neighborhood preservation in nonlinear projection methods*, ICANN 2001.
    """
    z, places = as_embeddings(z), as_embeddings(places)
    if len(z) != len(places):
        raise ShapeError(f"there are {len(z)} embeddings and {len(places)} places; needed the same")
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors is {n_neighbors}; needed at least 1")
    if (n := len(z)) < 3:
        raise DataError(f"there are {n} rows; needed at least 3 to compare neighbours")
    k = min(n_neighbors, (n - 1) // 2)
    lengths = np.linalg.norm(z, axis=1, keepdims=True)
    unit = np.divide(z, lengths, out=np.zeros_like(z), where=lengths > 0)
    kept, excess = np.empty(n), np.empty(n)
    for rows in _chunks(n):
        ranks = _ranks(unit, rows)  # 1 is the nearest
        near = np.argpartition(_distances(places, rows), k - 1, axis=1)[:, :k]
        found = np.take_along_axis(ranks, near, axis=1)  # (chunk, k)
        kept[rows] = (found <= k).mean(axis=1)
        excess[rows] = np.maximum(found - k, 0).sum(axis=1)
    trust = 1 - excess * 2 / (k * (2 * n - 3 * k - 1))
    trusted = mean_interval(trust, resampling=resampling)
    share = mean_interval(kept, resampling=resampling)
    return MapFaithfulness(
        trustworthiness=trusted.value,
        trustworthiness_low=trusted.low,
        trustworthiness_high=trusted.high,
        kept=share.value,
        kept_low=share.low,
        kept_high=share.high,
        chance=k / (n - 1),
        n_neighbors=k,
        n=n,
    )


def _chunks(n: int) -> Iterator[Codes]:
    size = max(1, _CELLS // n)
    return (np.arange(start, min(start + size, n)) for start in range(0, n, size))


def _distances(points: Double, rows: Codes) -> Double:
    """Half the squared distance of some points to all, less a constant a row; none to itself."""
    distances: Double = 0.5 * (points**2).sum(axis=1) - points[rows] @ points.T
    distances[np.arange(len(rows)), rows] = np.inf
    return distances


def _ranks(points: Double, rows: Codes) -> Codes:
    order = np.argsort(_distances(points, rows), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, points.shape[0] + 1)[None], axis=1)
    return ranks
