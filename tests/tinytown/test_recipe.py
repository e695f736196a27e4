from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from transformers import AutoModelForImageClassification, CLIPModel

from probe.images.models.lookup import image_model
from probe.images.pipelines import load_pipeline
from probe.text.checkpoints import text_encoders
from probe.text.lexicon import Lexicon
from probe.tinytown.loop import Schedule
from probe.tinytown.recipe_dit import DitRecipe, DitTraining
from probe.tinytown.recipe_tinytown import Recipe, TinytownTraining
from probe.tinytown.recipe_xl import XLRecipe, XLTraining

SHORT = Schedule(n_steps=12, batch_size=8, learning_rate=2e-3, warmup=2, ema=0.5)
QUICK = Recipe(
    n_clip=160, n_pictures=80, n_balanced=80, clip=SHORT, autoencoder=SHORT, classifier=SHORT,
    denoiser=SHORT,
)  # fmt: skip
LATER = [
    (
        XLTraining,
        XLRecipe(n_clip=160, n_pictures=80, text_encoder_2=SHORT, denoiser=SHORT),
        ("text_encoder", "text_encoder_2"),
    ),
    (
        DitTraining,
        DitRecipe(n_captions=160, n_pictures=80, t5=SHORT, denoiser=SHORT),
        ("text_encoder", "text_encoder_2", "text_encoder_3"),
    ),
]
HURRIED = Recipe(n_pictures=16, autoencoder=replace(SHORT, n_steps=6, batch_size=4))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tinytown")
    training = TinytownTraining(Lexicon.load(), folder / "out", folder / "work", recipe=QUICK)
    training.run()
    return training


def test_the_loss_of_every_stage_falls(training):
    assert set(training.losses) == {
        "clip", "autoencoder", "classifier", "second_classifier", "denoiser",
    }  # fmt: skip
    for name, losses in training.losses.items():
        assert np.isfinite(losses).all(), name
        assert np.mean(losses[-3:]) < np.mean(losses[:3]), name


def test_the_folder_opens_with_ordinary_classes(training):
    pipeline = DiffusionPipeline.from_pretrained(training.out)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a photo of a nurse", num_inference_steps=2).images[0]
    assert image.size == (64, 64)
    clip = CLIPModel.from_pretrained(training.out / "clip")
    assert clip.config.text_config.eos_token_id == pipeline.tokenizer.eos_token_id
    for name in ("classifier", "second_classifier"):
        model = AutoModelForImageClassification.from_pretrained(training.out / name)
        assert "gender:woman" in model.config.id2label.values()


def test_the_pipelines_text_encoder_is_that_of_clip(training):
    pipeline = DiffusionPipeline.from_pretrained(training.out)
    clip = CLIPModel.from_pretrained(training.out / "clip")
    ids = pipeline.tokenizer(["a photo of a cook"], return_tensors="pt").input_ids
    with torch.no_grad():
        ours = pipeline.text_encoder(ids).last_hidden_state
        theirs = clip.text_model(ids).last_hidden_state
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("training_of", "recipe", "encoders"), LATER)
def test_the_other_models_open_with_ordinary_classes(tmp_path, training_of, recipe, encoders):
    training = training_of(Lexicon.load(), tmp_path / "out", tmp_path / "work", recipe=recipe)
    training.run()
    for name, losses in training.losses.items():
        assert np.isfinite(losses).all(), name
        assert np.mean(losses[-3:]) < np.mean(losses[:3]), name
    assert text_encoders(tmp_path / "out") == encoders
    model = image_model(load_pipeline(tmp_path / "out"))
    empty, nurse = (model.conditions([prompt]) for prompt in ("", "a photo of a nurse"))
    latents = model.denoise(nurse, empty, [7], guidance_scale=3.0, n_steps=2)
    with torch.no_grad():
        assert model.decode(latents)[0].size == (64, 64)


def test_an_interrupted_training_ends_with_the_same_weights(training, tmp_path):
    class InterruptionError(Exception):
        pass

    def stop_half_way(name: str, done: int, total: int) -> None:
        if done == 4:
            raise InterruptionError

    def train(folder: Path, progress=None):
        work = folder / "work"
        training = TinytownTraining(Lexicon.load(), folder, work, recipe=HURRIED, progress=progress)
        training.checkpoint_every = 2
        return training.train_autoencoder()

    with pytest.raises(InterruptionError):
        train(tmp_path / "a", stop_half_way)
    resumed, undisturbed = train(tmp_path / "a"), train(tmp_path / "b")
    for name, weight in undisturbed.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=0)
