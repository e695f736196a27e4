"""Maps: planted planes, scikit-learn's PCA, neighbourhoods, determinism."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.maps import NeighborMap, map_faithfulness, neighbor_map, principal_plane


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


def test_other_embeddings_are_placed_on_the_same_map():
    z, _, axes = on_a_plane()
    plane = principal_plane(z)
    moved = plane.place(z + 2.0 * axes[0]) - plane.place(z)
    np.testing.assert_allclose(np.abs(moved), np.tile([2.0, 0.0], (len(z), 1)), atol=1e-10)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="with one core there is nothing to change")
def test_umap_leaves_the_number_of_torchs_threads_alone():
    # numba begins its threads once in a process, and with them sets OpenMP's, which are torch's
    script = """
import numpy as np
import torch
torch.set_num_threads(1)
torch.ones(300, 300) @ torch.ones(300, 300)
from probe.latent.maps import neighbor_map
neighbor_map(np.random.default_rng(0).normal(size=(300, 16)))
assert torch.get_num_threads() == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("largest", [40, 20])
def test_umap_keeps_two_clusters_apart_and_is_deterministic(monkeypatch, largest):
    monkeypatch.setattr("probe.latent.maps.LARGEST", largest)
    rng = np.random.default_rng(0)
    centers = np.zeros((2, 8))
    centers[[0, 1], [0, 1]] = 1.0
    label = np.arange(40) % 2
    z = centers[label] + 0.02 * rng.normal(size=(40, 8))
    xy = neighbor_map(z, seed=1, n_neighbors=8).coordinates
    assert xy.shape == (40, 2)
    assert xy.dtype == np.float64
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (label[distances.argmin(axis=1)] == label).all()
    np.testing.assert_array_equal(neighbor_map(z, seed=1, n_neighbors=8).coordinates, xy)
    faithful = map_faithfulness(z, xy, n_neighbors=8)
    assert faithful.n == largest
    assert faithful.kept > 2 * faithful.chance


def test_umap_takes_fewer_rows_than_neighbours():
    xy = neighbor_map(np.random.default_rng(0).normal(size=(5, 4))).coordinates
    assert xy.shape == (5, 2)
    assert np.isfinite(xy).all()


def test_maps_say_what_is_wrong_with_their_input():
    with pytest.raises(DegenerateDataError, match="all 6 embeddings are the same"):
        neighbor_map(np.ones((6, 3)))
    with pytest.raises(DataError, match=r"at least 3 rows and 2 features, got shape \(2, 3\)"):
        neighbor_map(np.eye(3)[:2])


def clusters_of(seed=0, *, n=60, n_features=8, n_clusters=3, noise=0.05):
    """Rows around a few directions, and the direction of each."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % n_clusters
    return np.eye(n_features)[label] + noise * rng.normal(size=(n, n_features)), label


@pytest.fixture(scope="module")
def cluster_map():
    """A map of three clusters, with its rows and their labels."""
    z, label = clusters_of()
    return neighbor_map(z, n_neighbors=10, seed=2), z, label


def test_a_row_of_the_map_is_placed_where_it_stands(cluster_map):
    found, z, _ = cluster_map
    np.testing.assert_allclose(found.place(z), found.coordinates, atol=1e-12)
    np.testing.assert_allclose(found.place(3 * z[::-1]), found.coordinates[::-1], atol=1e-12)


def test_new_rows_are_placed_among_their_own(cluster_map):
    found, _, label = cluster_map
    other, other_label = clusters_of(seed=1, n=30)
    places = found.place(other)
    centers = np.stack([found.coordinates[label == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(places[:, None] - centers, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, other_label)


def test_the_place_of_a_new_row_does_not_depend_on_the_others(cluster_map):
    found, _, _ = cluster_map
    other, _ = clusters_of(seed=1, n=30)
    np.testing.assert_allclose(found.place(other)[:5], found.place(other[:5]), atol=1e-12)


def test_the_weights_of_the_neighbours_add_up_to_the_logarithm_of_their_number():
    # three neighbours, two of them as far: 1 + 2 w = log2(3), so w = 0.2925 and the new row
    # stands at (0, 0) / log2(3) + w * ((1, 0) + (0, 1)) / log2(3)
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = NeighborMap(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), rows, 3)
    weight = (np.log2(3) - 1) / 2
    place = found.place(np.array([[1.0, 0.2, 0.2]]))
    np.testing.assert_allclose(place, [[weight / np.log2(3)] * 2], atol=1e-10)


def test_labels_pull_the_map_apart_and_weight_0_leaves_it_alone():
    rng = np.random.default_rng(3)
    z, label = rng.normal(size=(60, 5)), np.arange(60) % 2
    plain = neighbor_map(z, seed=1).coordinates
    told = neighbor_map(z, labels=label, label_weight=0.9, seed=1).coordinates
    named = neighbor_map(z, labels=np.array(["a", "b"])[label], label_weight=0.9, seed=1)

    def purity(xy):
        distances = np.linalg.norm(xy[:, None] - xy, axis=2)
        np.fill_diagonal(distances, np.inf)
        return (label[distances.argmin(axis=1)] == label).mean()

    assert purity(plain) < 0.75  # the labels are noise
    assert purity(told) > 0.95
    np.testing.assert_array_equal(named.coordinates, told)
    untold = neighbor_map(z, labels=label, label_weight=0.0, seed=1).coordinates
    np.testing.assert_array_equal(untold, plain)


# What a map keeps


def test_a_map_that_is_the_space_keeps_everything():
    angles = np.random.default_rng(0).uniform(0, 3, 40)
    z = np.column_stack([np.cos(angles), np.sin(angles)])
    found = map_faithfulness(z, z, n_neighbors=5)
    assert (found.trustworthiness, found.kept) == (1.0, 1.0)
    assert (found.kept_low, found.kept_high, found.n) == (1.0, 1.0, 40)
    written = found.caption().replace("\N{NO-BREAK SPACE}", " ")
    assert written == "trustworthiness 1.00, 100 % of 5 neighbours kept (chance 13 %)"


@pytest.mark.parametrize("k", [3, 10])
def test_trustworthiness_is_that_of_scikit_learn(k):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 10))
    for places in (principal_plane(z).place(z), rng.normal(size=(80, 2))):
        expected = trustworthiness(z, places, n_neighbors=k, metric="cosine")
        found = map_faithfulness(z, places, n_neighbors=k)
        assert found.trustworthiness == pytest.approx(expected, abs=1e-12)
        assert found.trustworthiness_low < found.trustworthiness < found.trustworthiness_high


def test_the_share_of_neighbours_kept_is_that_of_the_two_lists():
    rng = np.random.default_rng(1)
    z, places = rng.normal(size=(50, 6)), rng.normal(size=(50, 2))
    lists = (
        NearestNeighbors(n_neighbors=7, metric=metric).fit(x).kneighbors(return_distance=False)
        for x, metric in ((z, "cosine"), (places, "euclidean"))
    )
    both = [len(set(a) & set(b)) / 7 for a, b in zip(*(x.tolist() for x in lists), strict=True)]
    found = map_faithfulness(z, places, n_neighbors=7)
    assert found.kept == pytest.approx(np.mean(both))
    # places at random keep what chance keeps: the interval of 50 rows holds it
    assert found.kept_low < found.chance < found.kept_high


def test_rows_in_pieces_give_the_same_figures(monkeypatch):
    rng = np.random.default_rng(2)
    z, places = rng.normal(size=(50, 6)), rng.normal(size=(50, 2))
    whole = map_faithfulness(z, places)
    monkeypatch.setattr("probe.latent.maps._CELLS", 150)
    assert map_faithfulness(z, places) == whole


def test_faithfulness_says_what_it_needs():
    z = np.random.default_rng(0).normal(size=(10, 4))
    assert map_faithfulness(z, z[:, :2], n_neighbors=15).n_neighbors == 4
    with pytest.raises(ShapeError, match="10 embeddings and 9 places"):
        map_faithfulness(z, z[:9, :2])
    with pytest.raises(DataError, match="2 rows; needed at least 3"):
        map_faithfulness(z[:2], z[:2, :2])
