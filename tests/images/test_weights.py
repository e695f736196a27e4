"""Precision, files and place of a pipeline's weights, and batches that do not fit in memory."""

import logging

import accelerate
import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from probe.errors import MemoryLimitError, OptionError
from probe.images import denoising, weights
from probe.images.generation import GenerationPlan, generate
from probe.images.guidance_cache import is_compiled
from probe.images.models.model import ImageModel
from probe.images.pipelines import load_pipeline
from probe.images.plan import COLUMNS
from probe.text.encoder import TextEncoder


def make(pipeline, folder, n=5):
    rows = [("neutral", "cook", "a photo of a cook", seed, f"{seed}.png") for seed in range(n)]
    plan = GenerationPlan(pd.DataFrame(rows, columns=list(COLUMNS)))
    table = generate(pipeline, plan, folder, guidance_scale=3.0, n_steps=2, revision="tiny")
    return np.stack([np.asarray(Image.open(folder / of), int) for of in table["file_name"]]), table


def out_of_memory(work, *, fits):
    """Work that needs too much memory unless its arguments fit."""

    def limited(*args, **kwargs):
        if not fits(*args):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return work(*args, **kwargs)

    return limited


def test_a_batch_that_does_not_fit_is_halved_and_the_images_are_the_same(
    pipeline, tmp_path, monkeypatch, caplog
):
    whole, _ = make(pipeline, tmp_path / "whole")
    fits = out_of_memory(ImageModel.denoise, fits=lambda _, given, empty, seeds: len(seeds) <= 1)
    monkeypatch.setattr(ImageModel, "denoise", fits)
    with caplog.at_level(logging.WARNING, "probe"):
        halved, _ = make(pipeline, tmp_path / "halved")
    np.testing.assert_allclose(halved, whole, atol=1)  # few rows round by themselves
    assert [record.getMessage() for record in caplog.records] == [
        "memory does not suffice to denoise 5 images together: from now on 2",
        "memory does not suffice to denoise 2 images together: from now on 1",
    ]
    monkeypatch.setattr(ImageModel, "denoise", out_of_memory(None, fits=lambda *_: False))
    with pytest.raises(MemoryLimitError, match="to denoise one image; choose --dtype bfloat16, --"):
        make(pipeline, tmp_path / "none")


@pytest.mark.parametrize(("free", "n"), [(10**12, 100), (8 * 10**9, 6), (10**8, 1)])
def test_the_batch_is_what_fits_in_the_free_memory(pipeline, monkeypatch, free, n):
    def peak(work, device):
        work()  # one image
        return 10**9

    monkeypatch.setattr(denoising, "peak_bytes", peak)
    monkeypatch.setattr(denoising, "free_bytes", lambda device: free)
    assert denoising.largest_batch(pipeline, 3.0) == n
    monkeypatch.setattr(ImageModel, "decode", out_of_memory(None, fits=lambda *_: False))
    with pytest.raises(MemoryLimitError, match="to make one image; choose --dtype bfloat16"):
        denoising.largest_batch(pipeline, 3.0)


def test_an_image_that_cannot_be_decoded_at_once_is_decoded_in_tiles(pipeline_folder, tmp_path):
    pipeline = load_pipeline(pipeline_folder)
    vae = pipeline.vae
    vae.decode = out_of_memory(vae.decode, fits=lambda *_: vae.use_tiling)
    images, _ = make(pipeline, tmp_path)
    assert vae.use_tiling
    assert images.shape == (5, 16, 16, 3)


def test_weights_are_opened_in_the_precision_that_is_asked_for(pipeline_folder, pipeline, tmp_path):
    half = load_pipeline(pipeline_folder, dtype="bfloat16")
    parts = [of for of in half.components.values() if isinstance(of, torch.nn.Module)]
    assert {weight.dtype for part in parts for weight in part.parameters()} == {torch.bfloat16}
    (found, of_half), (exact, of_whole) = make(half, tmp_path / "half"), make(pipeline, tmp_path)
    assert 0 < np.abs(found - exact).mean() < 2  # of 255 levels
    assert not set(of_half["key"]) & set(of_whole["key"])  # they are no images to reuse
    assert load_pipeline(pipeline_folder, dtype="auto").dtype == torch.float32


def test_files_in_half_precision_are_read_where_there_are_no_others(
    pipeline_folder, pipeline, tmp_path
):
    diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, dtype=torch.float16
    ).save_pretrained(tmp_path, variant="fp16")
    found = load_pipeline(tmp_path)
    for name, weight in pipeline.unet.state_dict().items():
        assert torch.equal(found.unet.state_dict()[name], weight.half().float())
    of_half, of_whole = (
        TextEncoder.load(of).embed(["a cook"]) for of in (tmp_path, pipeline_folder)
    )
    np.testing.assert_allclose(of_half, of_whole, atol=1e-2)


def test_on_an_accelerator_auto_is_the_precision_of_the_checkpoint(pipeline_folder, tmp_path):
    stored = {"whole": pipeline_folder}
    for name, dtype in (("half", torch.float16), ("brain", torch.bfloat16)):
        stored[name] = tmp_path / name
        diffusers.UNet2DConditionModel.from_pretrained(
            pipeline_folder / "unet", dtype=dtype
        ).save_pretrained(stored[name] / "unet")
    how = {"device": torch.device("mps"), "dtype": "auto", "offload": "none"}
    found = {
        name: weights.choose_weights(of, ["unet"], "unet", **how).dtype
        for name, of in stored.items()
    }
    assert found == {"whole": torch.float32, "half": torch.float16, "brain": torch.bfloat16}


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"dtype": "float16"}, OptionError, "float16 on a CPU, .* choose bfloat16, float32 or"),
        ({"offload": "model"}, OptionError, "'model' on a CPU, .* choose --device cuda, or --off"),
        ({"device": "cuda:7"}, OptionError, "no device 'cuda:7' here"),
        ({}, MemoryLimitError, r"take 0.0 GB on cpu as float32, where 0.0 GB are free; choose --d"),
    ],
)
def test_what_does_not_suit_the_device_is_refused_before_weights_are_read(
    pipeline_folder, monkeypatch, how, error, said
):
    monkeypatch.setattr(weights, "free_bytes", lambda device: 1000)
    monkeypatch.delattr(diffusers.DiffusionPipeline, "from_pretrained")
    with pytest.raises(error, match=said):
        load_pipeline(pipeline_folder, **how)


def by_model(pipeline):
    pipeline.enable_model_cpu_offload(device="cpu")


def by_weight(pipeline):
    """What ``enable_sequential_cpu_offload`` does; for it, the CPU is "cpu:0", which fails."""
    for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        accelerate.cpu_offload(part, execution_device="cpu")


@pytest.mark.parametrize("offload", [by_model, by_weight])
def test_an_offloaded_pipeline_makes_the_same_images(pipeline_folder, pipeline, tmp_path, offload):
    whole, _ = make(pipeline, tmp_path / "whole")
    offloaded = load_pipeline(pipeline_folder)
    offload(offloaded)
    assert (make(offloaded, tmp_path / "offloaded")[0] == whole).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*script_method")  # by torch itself, of its own function
def test_a_denoiser_can_be_compiled(pipeline_folder):
    assert is_compiled(load_pipeline(pipeline_folder, is_compiled=True).unet)
