"""CLIP scores against a plain CLIPModel, and means with intervals."""

import logging
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from probe.errors import DataError, ModelError, ShapeError
from probe.images.quality.clip_score import ClipScorer

PROMPTS = ["a nurse", "a cook", "a nurse", "the chief", "a nurse"]


@pytest.fixture
def scorer(clip_folder):
    return ClipScorer.load(clip_folder)


@pytest.fixture(scope="module")
def pictures(images):
    return images[:5]


def plain_cosines(folder, pictures, prompts):
    """The diagonal of CLIPModel's own logits, without its scale."""
    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        result = model(
            **tokenizer(prompts, padding=True, return_tensors="pt"),
            **processor(list(pictures), return_tensors="pt"),
        )
    return (result.logits_per_image.diagonal() / model.logit_scale.exp()).detach().numpy()


def test_the_score_is_that_of_a_plain_clip_model(scorer, clip_folder, pictures):
    cosines = plain_cosines(clip_folder, pictures, PROMPTS)
    assert np.unique(cosines).size == 5
    # single precision
    np.testing.assert_allclose(
        scorer.score(pictures, PROMPTS), 100 * np.maximum(cosines, 0), atol=1e-4
    )


def test_an_opposite_picture_scores_zero_and_not_less(scorer, clip_folder, pictures):
    before = scorer.score(pictures, PROMPTS)
    scorer = ClipScorer.load(clip_folder)
    scorer.model.text_projection.weight.neg_()
    after = scorer.score(pictures, PROMPTS)
    assert ((before > 0) != (after > 0)).all()
    assert min(before.min(), after.min()) == 0.0
    assert max(before.max(), after.max()) <= 100.0


def test_no_prompt_is_encoded_twice(scorer, pictures):
    encoded = []
    scorer.model.text_model.register_forward_hook(
        lambda module, args, kwargs, output: encoded.append(len(kwargs["input_ids"].unique(dim=0))),
        with_kwargs=True,
    )
    first = scorer.score(pictures, PROMPTS)
    assert encoded == [3]
    np.testing.assert_array_equal(scorer.score(pictures, PROMPTS), first)
    scorer.score(pictures[:2], ["a cook", "a mover"])
    assert encoded == [3, 1]


def test_a_prompt_that_is_too_long_is_cut_off_and_announced(scorer, pictures, caplog):
    long = "a nurse " * 100
    with caplog.at_level(logging.WARNING, logger="probe"):
        scorer.score(pictures[:2], [long, "a cook"])
    assert "1 of 2 prompts are longer than the 77 tokens of CLIP" in caplog.text


def test_every_picture_needs_a_prompt(scorer, pictures):
    with pytest.raises(ShapeError, match="5 images and 1 prompts"):
        scorer.score(pictures, ["a nurse"])
    with pytest.raises(DataError, match="there are no images"):
        scorer.score([], [])
    with pytest.raises(DataError, match="empty"):
        scorer.score(pictures[:1], [""])


def test_a_clip_without_its_tokenizer_is_refused(tmp_path, clip_folder):
    folder = shutil.copytree(clip_folder, tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=f"{folder} has no tokenizer"):
        ClipScorer.load(folder)


def test_the_chosen_prompt_is_the_one_that_scores_best(scorer, pictures):
    choices = ["a nurse", "a cook", "a car on a road", "x"]
    scores = np.stack([scorer.score(pictures, [prompt] * 5) for prompt in choices])
    assert scores.max(axis=0).min() > 0  # so that no two scores are cut to the same 0
    np.testing.assert_array_equal(
        scorer.weigh(pictures, choices).argmax(axis=1), scores.argmax(axis=0)
    )


@pytest.mark.parametrize("n", [1, 2, 7, 15, 16])
def test_a_score_has_the_same_bits_whatever_is_scored_with_it(scorer, clip_folder, n):
    prompts = [f"a photo of a cook, number {number}" for number in range(40)]
    pictures = np.random.default_rng(1).integers(0, 256, size=(40, 16, 16, 3), dtype=np.uint8)
    together = scorer.score(pictures, prompts)
    few = ClipScorer.load(clip_folder).score(pictures[:n], prompts[:n])
    assert few.tolist() == together[:n].tolist()
