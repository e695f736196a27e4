"""Maps of embeddings in the plane, for people to look at."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from probe.errors import DataError, DegenerateDataError
from probe.latent.directions import Double, Matrix, as_embeddings


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


def pca_map(z: Matrix, *, seed: int = 0) -> Double:
    """Place embeddings of shape (n, n_features) on their principal plane.

    Returns coordinates of shape (n, 2) in embedding units, with the mean at the origin. Use
    `principal_plane` to place other embeddings on the same map. Raises as it does.
    """
    return principal_plane(z, seed=seed).place(z)


def umap_map(z: Matrix, *, seed: int = 0, n_neighbors: int = 15, min_dist: float = 0.1) -> Double:
    """Place embeddings of shape (n, n_features) so that neighbours by angle stay neighbours.

    Parameters
    ----------
    z : ndarray of shape (n, n_features)
        Embeddings; compared by cosine.
    seed : int, default=0
        Seed; the same seed gives the same map, bit for bit on one machine.
    n_neighbors : int, default=15
        Size of a neighbourhood; at most n - 1 are used.
    min_dist : float, default=0.1
        Least distance of two points on the map.

    Returns
    -------
    ndarray of shape (n, 2)
        Coordinates without unit: only who stands near whom can be read from them.

    Raises
    ------
    ValueError
        If ``n_neighbors`` is below 2.
    ShapeError, DataError, DegenerateDataError
        As `principal_plane`.

    References
    ----------
    McInnes, Healy, Melville, *UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction*, arXiv 1802.03426.
    """
    if n_neighbors < 2:
        raise ValueError(f"n_neighbors is {n_neighbors}; needed at least 2")
    from sklearn.neighbors import NearestNeighbors

    z = _spread(z)
    n_neighbors = min(n_neighbors, len(z) - 1)
    search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine").fit(z)
    distances, neighbors = search.kneighbors(z)  # each row is its own first neighbour
    with warnings.catch_warnings():
        # umap warns at import that its neural variant, which is not used here, lacks tensorflow
        warnings.simplefilter("ignore", ImportWarning)
        # and that a map from known neighbours cannot place new rows, which is not done here
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            metric="cosine",
            init="pca",  # the spectral start fails on small and on disconnected sets
            precomputed_knn=(neighbors, distances),  # exact, and spares compiling umap's search
            random_state=seed,
            n_jobs=1,  # what a seed needs; left out, umap warns and sets it
        )
        return np.asarray(reducer.fit_transform(z), dtype=np.float64)


def _spread(z: Matrix) -> Double:
    z = as_embeddings(z)
    if len(z) < 3 or z.shape[1] < 2:
        raise DataError(f"a map needs at least 3 rows and 2 features, got shape {z.shape}")
    if np.ptp(z, axis=0).max() == 0.0:
        raise DegenerateDataError(
            f"all {len(z)} embeddings are the same; needed rows that differ to draw a map"
        )
    return z
