"""Maps: planted planes, scikit-learn's PCA, neighbourhoods, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.maps import pca_map, principal_plane, umap_map


def on_a_plane(seed=0, *, n=40, n_features=10):
    """Points of a known plane, three times as wide along its first axis."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n_features, 2)))[0].T
    place = rng.normal(size=(n, 2)) * [3.0, 1.0]
    place -= place.mean(axis=0)
    # uncorrelated in the sample, so that the planted axes are the principal ones
    place[:, 1] -= place[:, 0] * (place[:, 0] @ place[:, 1]) / (place[:, 0] @ place[:, 0])
    return place @ axes + rng.normal(size=n_features), place, axes


def test_a_planted_plane_is_found_up_to_the_signs_of_its_axes():
    z, place, axes = on_a_plane()
    plane = principal_plane(z)
    np.testing.assert_allclose(np.abs(plane.axes @ axes.T), np.eye(2), atol=1e-10)
    np.testing.assert_allclose(np.abs(plane.place(z)), np.abs(place), atol=1e-10)
    assert sum(plane.explained) == pytest.approx(1.0)
    assert plane.explained[0] > plane.explained[1]


def test_the_map_of_the_fitted_rows_has_its_mean_at_the_origin():
    z = np.random.default_rng(0).normal(size=(30, 6)) + 5
    xy = pca_map(z)
    assert xy.shape == (30, 2)
    np.testing.assert_allclose(xy.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_array_equal(xy, principal_plane(z).place(z))


def test_other_embeddings_are_placed_on_the_same_map():
    z, _, axes = on_a_plane()
    plane = principal_plane(z)
    moved = plane.place(z + 2.0 * axes[0]) - plane.place(z)
    np.testing.assert_allclose(np.abs(moved), np.tile([2.0, 0.0], (len(z), 1)), atol=1e-10)


@pytest.mark.parametrize("shape", [(30, 6), (60, 600)])
def test_the_same_input_gives_the_same_map_bit_for_bit(shape):
    z = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_array_equal(pca_map(z, seed=3), pca_map(z.copy(), seed=3))


def test_umap_keeps_two_clusters_apart_and_is_deterministic():
    rng = np.random.default_rng(0)
    centers = np.zeros((2, 8))
    centers[[0, 1], [0, 1]] = 1.0
    label = np.arange(40) % 2
    z = centers[label] + 0.02 * rng.normal(size=(40, 8))
    xy = umap_map(z, seed=1, n_neighbors=8)
    assert xy.shape == (40, 2)
    assert xy.dtype == np.float64
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (label[distances.argmin(axis=1)] == label).all()
    np.testing.assert_array_equal(umap_map(z, seed=1, n_neighbors=8), xy)


def test_umap_takes_fewer_rows_than_neighbours():
    xy = umap_map(np.random.default_rng(0).normal(size=(5, 4)))
    assert xy.shape == (5, 2)
    assert np.isfinite(xy).all()


@pytest.mark.parametrize("draw", [pca_map, umap_map])
def test_maps_say_what_is_wrong_with_their_input(draw):
    with pytest.raises(DegenerateDataError, match="all 6 embeddings are the same"):
        draw(np.ones((6, 3)))
    with pytest.raises(DataError, match=r"at least 3 rows and 2 features, got shape \(2, 3\)"):
        draw(np.eye(3)[:2])
    with pytest.raises(DataError, match=r"got shape \(0, 3\)"):
        draw(np.ones((0, 3)))
    with pytest.raises(ShapeError, match="n_features"):
        draw(np.ones(3))
    with pytest.raises(DataError, match="not finite"):
        draw(np.array([[0.0, 1.0], [np.nan, 1.0], [1.0, 1.0]]))


def test_a_neighbourhood_needs_two():
    with pytest.raises(ValueError, match="n_neighbors is 1"):
        umap_map(np.eye(5), n_neighbors=1)


def test_a_plane_places_only_embeddings_of_its_width():
    with pytest.raises(ShapeError, match="4 features but 6 were needed"):
        principal_plane(np.random.default_rng(0).normal(size=(9, 6))).place(np.ones((2, 4)))
