"""Features of any model's folder behind a clean resize, and the drift of pairs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from probe.errors import DegenerateDataError, ModelError, ShapeError
from probe.images.quality.clip_score import ClipScorer
from probe.images.quality.features import FeatureExtractor, clean_resize
from probe.images.quality.frechet import paired_distances


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory):
    """A DINOv2 model with random weights."""
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Dinov2Model(config).save_pretrained(folder)
    settings = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}}
    settings |= {"crop_size": {"height": 28, "width": 28}, "image_mean": [0.5] * 3}
    settings |= {"image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def test_where_nothing_is_resized_they_are_clips_own_embeddings(clip_folder, images):
    extractor = FeatureExtractor.load(clip_folder)
    expected = ClipScorer.load(clip_folder).embed(images)
    np.testing.assert_allclose(extractor.extract(images), expected, atol=1e-5)
    assert extractor.name.startswith("CLIPModel (")


def test_any_vision_model_gives_its_pooled_output(dino_folder, images):
    from transformers import Dinov2Model

    pixels = np.stack([clean_resize(Image.fromarray(of), (28, 28)) for of in images])
    pixels = torch.from_numpy((pixels / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = Dinov2Model.from_pretrained(dino_folder).eval()(pixels).pooler_output
    extractor = FeatureExtractor.load(dino_folder)
    np.testing.assert_allclose(extractor.extract(images), expected.numpy(), atol=1e-5)
    assert extractor.name.startswith("Dinov2Model")


def test_chunks_are_the_features_in_parts(clip_folder, images):
    extractor = FeatureExtractor.load(clip_folder)
    parts = list(extractor.chunks(images, batch_size=4))
    assert [len(part) for part in parts] == [4, 2]
    np.testing.assert_allclose(np.concatenate(parts), extractor.extract(images), atol=1e-5)


def test_a_folder_that_gives_no_size_is_refused(clip_folder, tmp_path):
    import shutil

    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelError, match="gives no size"):
        FeatureExtractor.load(folder)


def test_resizing_rounds_nothing_and_keeps_the_mean():
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    found = clean_resize(Image.fromarray(ramp), (16, 16))
    assert found.dtype == np.float32
    assert found.mean() == pytest.approx(ramp.mean(), abs=1e-3)
    inner = found[:, 2:-2, 0]  # away from the edges, where the ramp goes on
    np.testing.assert_allclose(inner, np.tile(np.arange(16)[2:-2] * 4 + 1.5, (16, 1)), atol=1e-3)


def test_resizing_smooths_before_it_samples():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = clean_resize(Image.fromarray(np.repeat(board[..., None], 3, axis=2)), (16, 16))
    # what is sampled without smoothing is black or white
    assert abs(found[2:-2, 2:-2] - 127.5).max() < 3


def test_the_middle_of_a_wide_picture_is_taken():
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 200
    np.testing.assert_allclose(clean_resize(Image.fromarray(wide), (8, 8)), 200.0)


def test_drift_is_zero_for_equal_one_for_right_angled_and_two_for_opposite_features():
    before = np.array([[0.1, 0.7], [1.0, 0.0], [1.0, 0.0]])
    after = np.array([[0.1, 0.7], [0.0, 3.0], [-2.0, 0.0]])
    np.testing.assert_array_equal(paired_distances(before, after), [0.0, 1.0, 2.0])


def test_features_that_are_no_pairs_are_refused():
    with pytest.raises(ShapeError, match="needed pairs"):
        paired_distances(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(DegenerateDataError, match="no direction"):
        paired_distances(np.zeros((2, 3)), np.ones((2, 3)))
