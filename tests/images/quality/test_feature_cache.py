"""Pictures whose maps and features are wanted are opened and seen once, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from probe.images.guidance_cache import LEAST_ROWS
from probe.images.quality import features
from probe.images.quality.feature_cache import LookOnce
from probe.images.quality.features import FeatureExtractor
from probe.images.quality.perceptual import perceptual_distances


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = [folder / f"{i:02d}.png" for i in range(60)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def clip(clip_folder):
    return FeatureExtractor.load(clip_folder)


@pytest.fixture
def opened(monkeypatch):
    """The files that are opened, in order."""
    found, open_picture = [], features.open_picture

    def counted(picture):
        found.append(picture)
        return open_picture(picture)

    monkeypatch.setattr(features, "open_picture", counted)
    return found


def test_each_is_opened_once_and_every_bit_is_the_same(clip, files, opened):
    before, after, others = files[:20], files[20:40], files[10:60]
    plain = perceptual_distances(clip, before, after), clip.extract(others)
    opened.clear()
    once = LookOnce(clip)
    assert once.name == clip.name
    np.testing.assert_array_equal(perceptual_distances(once, before, after), plain[0])
    np.testing.assert_array_equal(once.extract(others), plain[1])
    assert sorted(opened) == files


@pytest.mark.parametrize("n_seen", [0, LEAST_ROWS - 1, 59])
def test_few_pictures_are_seen_among_more_so_that_nothing_rounds_otherwise(clip, files, n_seen):
    once = LookOnce(clip)
    if n_seen:
        once.maps(files[:n_seen])
    np.testing.assert_array_equal(once.extract(files), clip.extract(files))


def test_a_file_that_is_asked_for_twice_has_two_rows(clip, files):
    asked = [*files[:3], *files[:3]]
    found = LookOnce(clip).extract(asked)
    np.testing.assert_array_equal(found[:3], found[3:])
