"""Maps of embeddings in the plane, and how much of the neighbourhoods they keep."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Indices, Matrix
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Codes, as_codes
from probe.stats.mean import mean_interval
from probe.stats.notation import percent
from probe.stats.resampling import BOOTSTRAP, Resampling

LARGEST = 50_000
"""Rows whose neighbours are compared, at most."""

_SAME = 1e-12  # cosine distance of equal rows, but for rounding
_CELLS = 4_000_000  # distances in memory at once, 32 MB: bounds memory, not the result


@dataclass(frozen=True, eq=False)
class PrincipalPlane:
    """The plane of largest variance, on which other embeddings can be placed."""

    center: Double
    """Shape (n_features,): the mean, which is the origin of the map."""
    axes: Double
    """Shape (2, n_features): orthonormal rows, the first has the larger variance."""

    def place(self, z: Matrix) -> Double:
        """Return coordinates of shape (n, 2) in embedding units."""
        return (as_embeddings(z, n_features=len(self.center)) - self.center) @ self.axes.T


def principal_plane(z: Matrix, *, seed: int = 0) -> PrincipalPlane:
    """Find the plane in which embeddings of shape (n, n_features) vary most.

    ``seed`` matters only beyond 500 features, where scikit-learn's PCA is a randomised one.
    """
    from sklearn.decomposition import PCA

    z = _spread(z)
    pca = PCA(n_components=2, random_state=seed).fit(z)
    return PrincipalPlane(center=pca.mean_, axes=pca.components_)


@dataclass(frozen=True, eq=False)
class NeighborMap:
    """A UMAP, on which other embeddings can be placed."""

    coordinates: Double
    """Shape (n, 2), without unit: only the neighbourhoods can be interpreted."""
    rows: Double
    """Shape (n, n_features): the embeddings, by which others are placed."""
    n_neighbors: int
    """Size of a neighbourhood."""

    def place(self, z: Matrix) -> Double:
        """Return coordinates of shape (n, 2) of other embeddings; those of the map do not move.

        A row is placed at the mean of its nearest neighbours by angle, weighted as umap weights
        them: ``exp(-(distance - that of the nearest) / sigma)``, sigma such that the weights add up
        to the logarithm to base 2 of their number. umap's own transform begins much the same way;
        its random refinement is left out, so that the place of a row does not depend on the other
        new rows. A row equal to one of the map is placed on it.
        """
        z = as_embeddings(z, n_features=self.rows.shape[1])
        distances, neighbors = _nearest(self.rows, z, self.n_neighbors)
        places = self.coordinates[neighbors]  # (n, n_neighbors, 2)
        weights = _memberships(distances)
        placed: Double = (weights[..., None] * places).sum(axis=1) / weights.sum(axis=1)[:, None]
        is_known = distances[:, 0] <= _SAME
        placed[is_known] = places[is_known, 0]
        return placed


def neighbor_map(
    z: Matrix,
    *,
    labels: npt.ArrayLike | None = None,
    label_weight: float = 0.5,
    seed: int = 0,
    n_neighbors: int = 15,
) -> NeighborMap:
    """Map embeddings of shape (n, n_features) by UMAP.

    At least 3 rows must differ; they are compared by cosine. ``labels`` (n,) are classes which the
    map then separates (supervised UMAP): such a map is no evidence that the embeddings contain
    them. ``label_weight`` is from 0 (the embeddings alone) to 1 (the labels alone). The same seed
    gives the same map, bit for bit on one machine. Of more than `LARGEST` rows, a sample is mapped,
    and all are placed on its map.

    References
    ----------
    McInnes, Healy, Melville, *UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction*, arXiv 1802.03426.
    """
    z = _spread(z)
    codes = None if labels is None else as_codes(labels, n_rows=len(z), name="labels")[0]
    if label_weight == 0.0:
        codes = None  # umap lets labels count a little even then
    n_neighbors = min(n_neighbors, len(z) - 1)
    if len(z) > LARGEST:
        rows = _sample(len(z), seed)
        some = None if codes is None else codes[rows]
        options: Any = {"label_weight": label_weight, "seed": seed, "n_neighbors": n_neighbors}
        found = neighbor_map(z[rows], labels=some, **options)
        return replace(found, coordinates=found.place(z), rows=z)
    distances, neighbors = _nearest(z, z, n_neighbors)  # each row is its own first neighbour
    with warnings.catch_warnings():
        # umap warns at import that its neural variant, which is not used here, lacks tensorflow
        warnings.simplefilter("ignore", ImportWarning)
        # and that a map from known neighbours cannot place new rows, which is done without it
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=n_neighbors,
            metric="cosine",
            init="pca",  # the spectral start fails on small and on disconnected sets
            precomputed_knn=(neighbors, distances),  # exact, and spares compiling umap's search
            target_weight=label_weight,
            random_state=seed,
            n_jobs=1,  # what a seed needs; left out, umap warns and sets it
        )
        with threadpool_limits():  # numba's threads set the number of torch's: give them back
            coordinates = np.asarray(reducer.fit_transform(z, y=codes), dtype=np.float64)
    return NeighborMap(coordinates=coordinates, rows=z, n_neighbors=n_neighbors)


@dataclass(frozen=True)
class MapFaithfulness:
    """How much of the neighbourhoods a map keeps, with 95 % bootstrap intervals over rows."""

    trustworthiness: float
    """From 0 to 1: 1 if every neighbour on the map was one before."""
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
        """Both figures in a line."""
        return (
            f"trustworthiness {self.trustworthiness:.2f}, {percent(self.kept, 0)} of "
            f"{self.n_neighbors} neighbours kept (chance {percent(self.chance, 0)})"
        )


def map_faithfulness(
    z: Matrix, places: Matrix, *, n_neighbors: int = 15, resampling: Resampling = BOOTSTRAP
) -> MapFaithfulness:
    """Compare the neighbours of embeddings, by cosine, with their neighbours on a map.

    With the k nearest neighbours before and on the map, and r(i, j) the rank of j among the
    neighbours of i before, trustworthiness is
    ``1 - 2 / (n k (2n - 3k - 1)) sum_i sum_{j false} (r(i, j) - k)``, over the neighbours on the
    map that were none before.

    ``places`` (n, 2) are the coordinates of the rows of ``z`` on the map, compared by distance. Of
    ``n_neighbors`` less than half of n are used at most, and of the rows a sample of `LARGEST`.

    References
    ----------
    Venna, Kaski, *Neighborhood preservation in nonlinear projection methods*, ICANN 2001.
    """
    z, places = as_embeddings(z), as_embeddings(places)
    if len(z) != len(places):
        raise ShapeError(f"there are {len(z)} embeddings and {len(places)} places; needed the same")
    if len(z) > LARGEST:
        z, places = (of[_sample(len(z), resampling.seed)] for of in (z, places))
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


def _sample(n: int, seed: int) -> Indices:
    return np.sort(np.random.default_rng(seed).choice(n, LARGEST, replace=False))


def _nearest(rows: Double, z: Double, n_neighbors: int) -> tuple[Double, Codes]:
    """Distances by cosine from z to its nearest rows, nearest first, and which they are."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine").fit(rows)
    distances, neighbors = search.kneighbors(z)
    return distances, neighbors


def _memberships(distances: Double) -> Double:
    """Weights ``exp(-d / sigma)`` of each row's neighbours that add up to log2 of their number."""
    target = np.log2(distances.shape[1])
    apart = distances - distances[:, :1]
    low, high = np.zeros((len(apart), 1)), np.full((len(apart), 1), 1e4)
    scale = np.maximum(apart.mean(axis=1, keepdims=True), _SAME)
    for _ in range(64):  # halvings of the interval in which sigma lies, in units of the scale
        sigma = (low + high) / 2
        weights: Double = np.exp(-apart / (scale * np.maximum(sigma, _SAME)))
        is_small = weights.sum(axis=1, keepdims=True) < target
        low, high = np.where(is_small, sigma, low), np.where(is_small, high, sigma)
    return weights


def _spread(z: Matrix) -> Double:
    z = as_embeddings(z)
    if len(z) < 3 or z.shape[1] < 2:
        raise DataError(f"a map needs at least 3 rows and 2 features, got shape {z.shape}")
    if np.ptp(z, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"all {len(z)} embeddings are the same; needed rows that differ to draw a map"
        )
    return z


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
