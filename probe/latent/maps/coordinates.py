"""Maps of embeddings in the plane, for people to look at."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Matrix
from probe.errors import DataError, DegenerateDataError
from probe.latent.directions import as_embeddings
from probe.latent.labels import Codes, as_codes

_SAME = 1e-12  # cosine distance of equal rows, but for rounding


@dataclass(frozen=True, eq=False)
class PrincipalPlane:
    """The plane of largest variance; places other embeddings on the same map."""

    center: Double
    """Shape (n_features,): the mean, which stands at the origin of the map."""
    axes: Double
    """Shape (2, n_features): orthonormal rows, the first has the larger variance."""
    explained: tuple[float, float]
    """Share of the variance along each axis, from 0 to 1."""

    def place(self, z: Matrix) -> Double:
        """Return coordinates of shape (n, 2) in embedding units."""
        return (as_embeddings(z, n_features=len(self.center)) - self.center) @ self.axes.T


def principal_plane(z: Matrix, *, seed: int = 0) -> PrincipalPlane:
    """Find the plane in which embeddings of shape (n, n_features) vary most.

    ``seed`` matters only beyond 500 features, where scikit-learn's PCA is a randomised one.

    Raises
    ------
    ShapeError, DataError
        If ``z`` is no matrix of at least 3 finite rows and 2 features.
    DegenerateDataError
        If all rows are the same.
    """
    from sklearn.decomposition import PCA

    z = _spread(z)
    pca = PCA(n_components=2, random_state=seed).fit(z)
    first, second = pca.explained_variance_ratio_.tolist()
    return PrincipalPlane(center=pca.mean_, axes=pca.components_, explained=(first, second))


@dataclass(frozen=True, eq=False)
class NeighborMap:
    """A map on which neighbours stand together; places other embeddings on it."""

    coordinates: Double
    """Shape (n, 2): where the rows stand, without unit."""
    rows: Double
    """Shape (n, n_features): the rows themselves, by which others are placed."""
    n_neighbors: int
    """Size of a neighbourhood."""

    def place(self, z: Matrix) -> Double:
        """Return coordinates of shape (n, 2) of other embeddings; those of the map do not move.

        A row goes to the mean place of its nearest neighbours by angle, weighted as umap weights
        them: ``exp(-(distance - that of the nearest) / sigma)``, sigma such that the weights add up
        to the logarithm to base 2 of their number. umap's own transform begins much the same way;
        its random refinement is left out, so that the place of a row does not depend on the other
        new rows. A row equal to one of the map stands where that one stands.
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
    min_dist: float = 0.1,
) -> NeighborMap:
    """Make a UMAP of embeddings, on which others can be placed.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings; compared by cosine.
    labels : array-like of shape (n,), optional
        Label of each row, which the map then separates (supervised UMAP). Such a map shows the
        labels because they were given: it is no evidence that the embeddings contain them.
    label_weight : float, default=0.5
        Weight of the labels, from 0 (the embeddings alone) to 1 (the labels alone).
    seed : int, default=0
        Seed; the same seed gives the same map, bit for bit on one machine.
    n_neighbors : int, default=15
        Size of a neighbourhood; at most n - 1 are used.
    min_dist : float, default=0.1
        Least distance of two points on the map.

    Returns
    -------
    NeighborMap
        Only who stands near whom can be read from its coordinates.

    Raises
    ------
    ValueError
        If ``n_neighbors`` is below 2 or ``label_weight`` outside [0, 1].
    ShapeError, DataError, DegenerateDataError
        As `principal_plane`, or if there is not one label a row.

    References
    ----------
    McInnes, Healy, Melville, *UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction*, arXiv 1802.03426.
    """
    if n_neighbors < 2:
        raise ValueError(f"n_neighbors is {n_neighbors}; needed at least 2")
    if not 0.0 <= label_weight <= 1.0:
        raise ValueError(f"label_weight is {label_weight}; needed a number from 0 to 1")
    z = _spread(z)
    codes = None if labels is None else as_codes(labels, n_rows=len(z), name="labels")[0]
    if label_weight == 0.0:
        codes = None  # umap lets labels count a little even then
    n_neighbors = min(n_neighbors, len(z) - 1)
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
            min_dist=min_dist,
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


def umap_map(z: Matrix, *, seed: int = 0, n_neighbors: int = 15, min_dist: float = 0.1) -> Double:
    """Place embeddings of shape (n, n_features) so that neighbours by angle stay neighbours.

    Returns coordinates of shape (n, 2) without unit: only who stands near whom can be read from
    them. Use `neighbor_map` to place other embeddings on the same map, or to separate
    labels; its options and errors are these.
    """
    return neighbor_map(z, seed=seed, n_neighbors=n_neighbors, min_dist=min_dist).coordinates


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
