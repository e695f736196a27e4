"""The attribute classifier: groups of labels, softmax by group, bad models and bad pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, ResNetConfig
from transformers import ResNetForImageClassification as ResNet

from probe.errors import ModelError
from probe.images.attributes import AttributeClassifier

LABELS = ["gender:woman", "age:young", "gender:man", "age:middle", "age:old", "cat", "dog"]
MEAN, STD = 0.5, 0.25


def save_classifier(folder, labels):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ResNet(
            ResNetConfig(
                embedding_size=8,
                hidden_sizes=[8, 8],
                depths=[1, 1],
                id2label=dict(enumerate(labels)),
                label2id={label: index for index, label in enumerate(labels)},
            )
        )
        # far apart, so that no two values are nearly as probable
        torch.nn.init.normal_(model.classifier[1].weight, std=3.0)
    model.save_pretrained(folder)
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"height": 16, "width": 16},
        "do_center_crop": False,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("models") / "classifier", LABELS)


@pytest.fixture(scope="module")
def classifier(folder):
    return AttributeClassifier.load(folder)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(9, 16, 16, 3), dtype=np.uint8)


def test_labels_form_attributes(classifier):
    assert classifier.attributes == {
        "gender": ["woman", "man"],
        "age": ["young", "middle", "old"],
        "label": ["cat", "dog"],
    }


def test_each_attribute_has_its_own_softmax(folder, classifier, pictures):
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = torch.from_numpy((pictures / 255 - MEAN) / STD).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        logits = model(pixels).logits.numpy()
    found = classifier.label(pictures)
    groups = {"gender": [0, 2], "age": [1, 3, 4], "label": [5, 6]}
    for attribute, columns in groups.items():
        odds = np.exp(logits[:, columns])
        shares = odds / odds.sum(axis=1, keepdims=True)
        values = [classifier.attributes[attribute][index] for index in shares.argmax(axis=1)]
        assert found[attribute].tolist() == values
        # single precision of the logits
        np.testing.assert_allclose(found[f"{attribute}_confidence"], shares.max(axis=1), rtol=1e-4)
    assert list(found.columns) == [
        name for attribute in groups for name in (attribute, f"{attribute}_confidence")
    ]


def test_files_images_and_arrays_get_the_same_labels(tmp_path, classifier, pictures):
    images = [Image.fromarray(picture) for picture in pictures]
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    expected = classifier.label(pictures)
    for given in (images, paths, [str(path) for path in paths], pictures / 255):
        assert classifier.label(given).equals(expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["gender:woman", "age:old", "age:young"], "'gender' of the classifier has the single"),
        (["gender:", "gender:man"], "label 'gender:'; needed 'attribute:value'"),
        ([":woman", ":man"], "label ':woman'; needed 'attribute:value'"),
        (["cat", "cat"], "two labels of the classifier are the same"),
    ],
)
def test_labels_that_make_no_attributes_are_refused(tmp_path, labels, message):
    with pytest.raises(ModelError, match=message):
        AttributeClassifier.load(save_classifier(tmp_path, labels))


def test_weights_that_are_no_numbers_do_not_become_labels(tmp_path, folder, pictures):
    classifier = AttributeClassifier.load(folder)
    classifier.model.classifier[1].bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        classifier.label(pictures)
