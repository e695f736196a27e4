"""Distance of pairs in feature maps: closed forms, and any model that gives its layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError, ShapeError
from probe.images.quality.features import FeatureExtractor
from probe.images.quality.perceptual import map_distances, perceptual_distances


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clip(clip_folder):
    return FeatureExtractor.load(clip_folder)


def layers(seed, n=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, places, 6, generator=generator) for places in (4, 9)]


def by_hand(before, after):
    """Zhang et al., equation 1, a pair, a layer and a place at a time, with weights 1."""
    found = []
    for pair in range(len(before[0])):
        of_layers = []
        for u, v in zip(before, after, strict=True):
            places = [
                np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2)
                for a, b in zip(u[pair].numpy(), v[pair].numpy(), strict=True)
            ]
            of_layers.append(np.mean(places))
        found.append(np.mean(of_layers))
    return found


@given(seed=st.integers(0, 2**32 - 1))
def test_it_is_the_published_formula_with_weights_of_one(seed):
    before, after = layers(seed), layers(seed + 1)
    np.testing.assert_allclose(map_distances(before, after), by_hand(before, after), rtol=1e-5)


def test_equal_is_zero_right_angled_two_and_opposite_four():
    u = torch.tensor([[[3.0, 0.0]], [[3.0, 0.0]], [[3.0, 0.0]]])
    v = torch.tensor([[[9.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]])
    np.testing.assert_allclose(map_distances([u, u], [v, v]), [0.0, 2.0, 4.0])


def test_a_place_without_features_is_no_nan():
    zero, one = torch.zeros(1, 1, 2), torch.tensor([[[0.0, 5.0]]])
    assert map_distances([zero], [zero])[0] == 0.0
    assert map_distances([zero], [one])[0] == 1.0


def test_maps_that_are_no_pairs_are_refused(clip, pictures):
    with pytest.raises(ShapeError, match="needed the same layers"):
        map_distances(layers(0), layers(0)[:1])
    with pytest.raises(ShapeError, match="needed pairs"):
        perceptual_distances(clip, pictures, pictures[:2])
    with pytest.raises(DataError, match="no pairs"):
        perceptual_distances(clip, [], [])


def test_the_same_picture_is_at_zero_and_a_little_noise_is_nearer_than_another(clip, pictures):
    noise = np.random.default_rng(1).integers(-8, 9, pictures.shape)
    noisy = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    near = perceptual_distances(clip, pictures, noisy)
    far = perceptual_distances(clip, pictures, pictures[::-1])
    np.testing.assert_array_equal(perceptual_distances(clip, pictures, pictures), 0.0)
    assert (near > 0).all()
    assert (near < far)[[0, 1, 3, 4]].all()  # the middle one is its own other


def test_batches_and_sides_do_not_matter(clip, pictures):
    other, told = pictures[::-1].copy(), []
    whole = perceptual_distances(clip, pictures, other)
    parts = perceptual_distances(
        clip, pictures, other, batch_size=2, progress=lambda *done: told.append(done)
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
    np.testing.assert_allclose(perceptual_distances(clip, other, pictures), whole, rtol=1e-5)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_the_layers_of_a_convolutional_model_are_places_of_features(model_folder, pictures):
    extractor = FeatureExtractor.load(model_folder / "classifier")
    shapes = [tuple(layer.shape) for layer in extractor.maps(pictures)]
    assert len(shapes) > 1
    assert all(len(shape) == 3 and shape[0] == len(pictures) for shape in shapes)
    assert shapes[0][1] > shapes[-1][1]  # fewer places in deeper layers
    assert (perceptual_distances(extractor, pictures[:2], pictures[3:]) > 0).all()
