import resource
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from probe.errors import ArtifactError
from probe.images.denoising import (
    decode,
    decoded_together,
    denoised_together,
    encode_images,
)
from probe.images.generation import GenerationPlan, generate
from probe.images.intervention import Intervention
from probe.images.models.lookup import image_model
from probe.images.pipelines import load_pipeline

CPU = torch.device("cpu")
LARGE = 50  # pictures that are denoised in more parts than one


def make_plan(n):
    rows = [("neutral", "cook", "a photo of a cook", i, f"cook/{i:03}.png") for i in range(n)]
    return GenerationPlan(
        pd.DataFrame(rows, columns=["kind", "subject", "prompt", "seed", "file_name"])
    )


def make(pipeline, plan, folder, **options):
    given = {"guidance_scale": 3.0, "n_steps": 1, "batch_size": 4, "revision": "tiny"}
    return generate(pipeline, plan, folder, **(given | options))


# Parts of a batch


@given(n=st.integers(1, 500))
@pytest.mark.parametrize(("cut", "least"), [(denoised_together, 20), (decoded_together, 16)])
def test_parts_follow_each_other_cover_the_batch_and_none_is_small(cut, least, n):
    parts = cut(n, CPU)
    assert [row for part in parts for row in range(n)[part]] == list(range(n))
    sizes = [part.stop - part.start for part in parts]
    assert min(sizes) >= min(n, least)
    assert max(sizes) <= 2 * least


def test_on_an_accelerator_a_batch_stays_whole():
    assert denoised_together(100, torch.device("cuda")) == [slice(0, 100)]


@pytest.mark.slow
@torch.no_grad()
def test_pictures_denoised_and_decoded_in_parts_are_those_made_together():
    pipeline = load_pipeline("tinytown")
    model = image_model(pipeline)
    states, empty = model.encode(["a photo of a nurse", ""])
    said = states.expand(LARGE)
    seeds = list(range(LARGE))
    how = {"guidance_scale": 1.5, "n_steps": 1}
    whole = model.denoise(said, empty, seeds, **how)
    parts = denoised_together(LARGE, CPU)
    assert len(parts) == 2
    latents = torch.cat([model.denoise(said[p], empty, seeds[p], **how) for p in parts])
    # Equal to the last bit where this was measured; other processors may take other kernels.
    torch.testing.assert_close(latents, whole, rtol=0, atol=1e-4)
    few = latents[:40]
    plain = pipeline.vae.decode(few / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    expected = pipeline.image_processor.postprocess(plain, output_type="pil")
    for ours, theirs in zip(decode(pipeline, few), expected, strict=True):
        assert np.abs(np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)).max() <= 1


class Watched(Intervention):
    """Changes nothing, and notes how many pictures are denoised at once."""

    def __init__(self, signature):
        self._signature, self.sizes = signature, []

    def signature(self, condition):
        return self._signature

    def denoising(self, pipeline, conditions):
        self.sizes.append(len(conditions))
        return super().denoising(pipeline, conditions)


@pytest.mark.parametrize(("signature", "sizes"), [("", [25, 25]), ("other weights", [50])])
def test_a_batch_whose_denoiser_is_changed_is_not_cut(pipeline, tmp_path, signature, sizes):
    watched = Watched(signature)
    make(pipeline, make_plan(LARGE), tmp_path, batch_size=LARGE, intervention=watched)
    assert watched.sizes == sizes


def test_each_prompt_is_encoded_once(pipeline, tmp_path):
    known, encoded = {}, []

    def count(module, inputs, output):
        encoded.append(len(output[0]))

    handle = pipeline.text_encoder.register_forward_hook(count)
    try:
        make(pipeline, make_plan(9), tmp_path / "first", known=known)
        assert encoded == [1, 1]
        assert set(known) == {"", "a photo of a cook"}
        make(pipeline, make_plan(9), tmp_path / "second", known=known)
    finally:
        handle.remove()
    assert encoded == [1, 1]
    first, second = (sorted((tmp_path / of).rglob("*.png")) for of in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


# A safety checker blackens what it does not like


class Suspicious(torch.nn.Module):
    """Takes every second picture for unsafe."""

    def forward(self, clip_input, images):
        found = [bool(row % 2) for row in range(len(images))]
        images[found] = 0
        return images, found


def test_a_pipeline_with_a_safety_checker_gives_the_pictures_that_it_gives_itself(pipeline_folder):
    from transformers import CLIPImageProcessor

    pipeline = load_pipeline(pipeline_folder)
    pipeline.safety_checker = Suspicious()
    pipeline.feature_extractor = CLIPImageProcessor()
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    images = [np.asarray(image) for image in decode(pipeline, latents)]
    assert [image.any() for image in images] == [True, False, True, False]


# What goes wrong beside the next batch


def is_whole(folder):
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.load()
    return not list(folder.rglob(".tmp-*"))


def test_a_full_disk_stops_the_generation_in_one_line(pipeline, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))  # bytes a file
    try:
        with pytest.raises(ArtifactError, match=r"cook/000\.png") as caught:
            make(pipeline, make_plan(9), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(("n", "batch_size"), [(13, 4), (130, 50)], ids=["in turn", "side by side"])
def test_after_ctrl_c_nothing_is_half_written_and_the_rest_is_made(
    pipeline, tmp_path, n, batch_size
):
    plan = make_plan(n)
    make(pipeline, plan, tmp_path / "at once", batch_size=batch_size)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(pipeline, plan, tmp_path / "stopped", batch_size=batch_size, progress=interrupt)
    assert is_whole(tmp_path / "stopped")
    n_made = len(list((tmp_path / "stopped").rglob("*.png")))
    assert 0 < n_made < len(plan)
    make(pipeline, plan, tmp_path / "stopped", batch_size=batch_size)
    for path in (tmp_path / "at once").rglob("*.*"):
        other = tmp_path / "stopped" / path.relative_to(tmp_path / "at once")
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("side", "most"), [(64, 64), (512, 1)])
def test_large_images_are_encoded_fewer_at_a_time(side, most):
    sizes = []

    class StableDiffusionPipeline:
        @property
        def vae(self):
            return Encoder()

    class Encoder:
        device, config = CPU, SimpleNamespace(scaling_factor=2.0)

        def encode(self, pixels):
            sizes.append(len(pixels))
            return SimpleNamespace(latent_dist=SimpleNamespace(mean=pixels[:, :1, 0, 0]))

    batches = [np.full((most + 1, 3, side, side), 0.5, dtype=np.float32)] * 2
    assert torch.equal(
        encode_images(image_model(StableDiffusionPipeline()), batches), torch.ones(2 * most + 2, 1)
    )
    assert sizes == [most, 1] * 2
