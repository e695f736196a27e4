"""Opening vision models and pictures: pixels by hand and by transformers, and bad files."""

import contextlib
import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModelForImageClassification, CLIPImageProcessorPil, CLIPModel

from probe.errors import DataError, ModelError, ShapeError
from probe.images.reading import check_images, open_image
from probe.images.vision_models import Preprocessor, batches, load_vision_model


def noise(seed, *, height=16, width=16, channels=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(height, width, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def preprocessor(clip_folder):
    return Preprocessor.load(clip_folder)


def test_pixels_of_the_models_size_are_scaled_and_normalised(preprocessor, clip_folder):
    config = json.loads((clip_folder / "preprocessor_config.json").read_text())
    picture = noise(0)
    pixels = preprocessor([Image.fromarray(picture)])
    expected = (picture / 255 - config["image_mean"]) / config["image_std"]
    assert pixels.shape == (1, 3, 16, 16)
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels[0], expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": {"height": 16, "width": 16}, "do_center_crop": False},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 1 / 127.5},
        {"resample": 2},
    ],
)
def test_preprocessing_is_what_the_config_says(tmp_path, clip_folder, options):
    config = json.loads((clip_folder / "preprocessor_config.json").read_text()) | options
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    picture = Image.fromarray(noise(1, height=40, width=23))
    del config["image_processor_type"]
    reference = CLIPImageProcessorPil(**config)([picture])["pixel_values"]
    np.testing.assert_array_equal(Preprocessor.load(tmp_path)([picture]), np.stack(reference))


def test_pictures_of_several_sizes_need_a_crop(tmp_path, clip_folder):
    config = json.loads((clip_folder / "preprocessor_config.json").read_text())
    config["do_center_crop"] = False
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    pictures = [Image.fromarray(noise(0, width=width)) for width in (16, 20)]
    with pytest.raises(DataError, match="differ in size after preprocessing"):
        Preprocessor.load(tmp_path)(pictures)


def test_what_is_transparent_is_seen_on_white():
    picture = np.dstack([noise(0), np.zeros((16, 16), dtype=np.uint8)])
    picture[:, 8:, 3] = 255
    seen = np.asarray(open_image(Image.fromarray(picture)))
    assert (seen[:, :8] == 255).all()
    np.testing.assert_array_equal(seen[:, 8:], picture[:, 8:, :3])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_a_picture_of_any_8_bit_mode_opens_as_rgb(tmp_path, mode):
    path = tmp_path / f"picture.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.fromarray(noise(0)).convert(mode).save(path)
    picture = open_image(path)
    assert (picture.mode, picture.size) == ("RGB", (16, 16))


def test_more_than_8_bits_are_refused_and_not_clipped(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(path)
    with pytest.raises(DataError, match=r"deep\.png has the mode I;16; needed 8 bits"):
        open_image(path)


@pytest.fixture(scope="module")
def whole_png(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "whole.png"
    Image.fromarray(noise(0, height=32, width=32)).save(path)
    return path


@given(data=st.data())
def test_a_truncated_picture_is_an_error_that_names_the_file(whole_png, data):
    content = whole_png.read_bytes()
    n_kept = data.draw(st.integers(0, len(content) - 1))
    path = whole_png.with_name("cut.png")
    path.write_bytes(content[:n_kept])
    if n_kept <= len(content) - 24:
        with pytest.raises(DataError, match=r"cut\.png cannot be read as an image"):
            open_image(path)
        return
    with contextlib.suppress(DataError):  # checksums and the end mark: all pixels may be there
        np.testing.assert_array_equal(open_image(path), open_image(whole_png))


def test_a_text_file_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.png cannot be read as an image") as caught:
        open_image(tmp_path / "text.png")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"there is no image .*absent\.png"):
        open_image(tmp_path / "absent.png")
    with pytest.raises(DataError, match="cannot be read"):
        open_image(tmp_path)


def test_arrays_of_bytes_and_of_floats_are_the_same_pictures():
    pictures = np.stack([noise(seed) for seed in range(3)])
    for as_bytes, as_float in zip(pictures, pictures / 255, strict=True):
        np.testing.assert_array_equal(open_image(as_bytes), open_image(as_float))
    grey = pictures[0, :, :, :1]
    np.testing.assert_array_equal(open_image(grey), np.dstack([grey] * 3))


def test_batches_hold_all_pictures_in_order(preprocessor):
    pictures = np.stack([noise(seed) for seed in range(7)])
    calls = []
    parts = list(
        batches(pictures, preprocessor, batch_size=3, progress=lambda *call: calls.append(call))
    )
    assert [len(part) for part in parts] == [3, 3, 1]
    assert calls == [(3, 7), (6, 7), (7, 7)]
    whole = preprocessor([Image.fromarray(picture) for picture in pictures])
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)


def test_what_are_no_pictures_is_refused():
    with pytest.raises(DataError, match="there are no images"):
        check_images([])
    with pytest.raises(DataError, match="there are no images"):
        check_images(np.empty((0, 8, 8, 3)))
    with pytest.raises(ShapeError, match=r"shape \(8, 8, 3\)"):
        check_images(np.zeros((8, 8, 3)))
    with pytest.raises(ShapeError, match=r"shape \(2, 3, 8, 8\)"):
        check_images(np.zeros((2, 3, 8, 8)))
    with pytest.raises(ShapeError, match=r"single image .*a\.png"):
        check_images("a.png")
    with pytest.raises(DataError, match="values from -1 to 1; needed floats from 0 to 1"):
        check_images(np.linspace(-1, 1, 192).reshape(1, 8, 8, 3))
    with pytest.raises(DataError, match="from nan"):
        check_images(np.full((1, 8, 8, 3), np.nan))
    with pytest.raises(DataError, match="type int64; needed uint8 or floats"):
        check_images(np.zeros((1, 8, 8, 3), dtype=np.int64))


def test_a_model_of_another_kind_is_refused_and_not_filled_with_random_weights(clip_folder):
    with pytest.raises(ModelError, match=r"has no weights classifier\.(bias|weight)"):
        load_vision_model(clip_folder, AutoModelForImageClassification, device="cpu")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has no config\.json; needed the folder of a CLIPModel"):
        load_vision_model(tmp_path / "absent", CLIPModel, device="cpu")


def test_truncated_weights_are_one_line_that_names_the_folder(tmp_path, clip_folder):
    folder = shutil.copytree(clip_folder, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=f"{folder} cannot be opened") as caught:
        load_vision_model(folder, CLIPModel, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_pickle_is_refused(tmp_path, clip_folder):
    folder = shutil.copytree(clip_folder, tmp_path / "pickle")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="is a pickle"):
        load_vision_model(folder, CLIPModel, device="cpu")
