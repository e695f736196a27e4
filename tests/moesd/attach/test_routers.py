"""An attached correction and `generate` give the same image for the same prompt and seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline
from PIL import Image

from probe.errors import ModelError
from probe.images.generation import generate
from probe.images.plan import COLUMNS, GenerationPlan
from probe.moesd.calls import image_seeds
from probe.moesd.model import MoESD
from probe.moesd.router import ROUTERS, Router

SEEDS = list(range(100, 106))
GIVEN = {"guidance_scale": 3.0, "num_inference_steps": 2, "output_type": "np"}


def routed_by(bench, kind, **settings):
    objective = "both" if kind == "top1" else "counterfactual"
    unet = bench.moesd.unet_experts if kind == "top1" and not settings else None
    router = Router(kind, min_explained=0.0, **settings)
    token = replace(bench.moesd.token, subjects=tuple(bench.prompts))  # known, whatever they name
    return replace(bench.moesd, token=token, unet_experts=unet, objective=objective, router=router)


def attached(pipeline, moesd, prompts, seeds, **options):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with moesd.attach(pipeline):
        return pipeline(prompts, generator=generators, **(GIVEN | options)).images


@pytest.mark.parametrize("strength", [1.0, pytest.param(0.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ROUTERS)
def test_an_attached_correction_makes_the_images_of_generate(
    bench, provenance, tmp_path, kind, strength
):
    settings = {} if strength == 1 else {"strength": strength}
    gate = replace(bench.moesd.gate, explicit_above=1e9)  # JSON has no infinity
    replace(routed_by(bench, kind, **settings), gate=gate).save(tmp_path / "moesd", provenance)
    moesd = MoESD.load(tmp_path / "moesd", bench.moesd.encoder)
    prompts = [prompt for prompt in bench.prompts for _ in SEEDS]
    rows = zip(prompts, SEEDS * 2, strict=True)
    planned = [("neutral", "x", *row, f"{number}.png") for number, row in enumerate(rows)]
    plan = GenerationPlan(pd.DataFrame(planned, columns=list(COLUMNS)))
    method = moesd.intervention(bench.pipeline, guidance_scale=3.0)
    sides = {"base": None, "moesd": method}
    made = {
        side: read(generate(bench.pipeline, plan, tmp_path / side, guidance_scale=3.0, n_steps=2,
                            revision="tiny", intervention=of), tmp_path / side)
        for side, of in sides.items()
    }  # fmt: skip
    images = attached(bench.pipeline, moesd, bench.prompts, SEEDS * 2, num_images_per_prompt=6)
    # Batches of other sizes round apart, which is half a grey level at most.
    np.testing.assert_allclose(images, made["moesd"], atol=1.01 / 255)
    assert np.abs(made["moesd"] - made["base"])[len(SEEDS) :].max() > 3 / 255
    alone = attached(bench.pipeline, moesd, bench.prompts[1], SEEDS[4:5])
    np.testing.assert_allclose(alone[0], images[len(SEEDS) + 4], atol=1e-4)


def read(table, folder):
    return np.stack([np.asarray(Image.open(folder / name)) / 255 for name in table["file_name"]])


def test_pipelines_whose_denoiser_cannot_be_asked_are_refused(benches):
    of = benches["xl"]
    variant = StableDiffusionXLImg2ImgPipeline.from_pipe(of.pipeline)
    moesd = replace(routed_by(of, "calibrated"), unet_experts=None)
    moesd.attach(of.pipeline).detach()
    with pytest.raises(ModelError, match="router 'calibrated' asks the denoiser"):
        moesd.attach(variant)


def test_a_detached_pipeline_has_its_own_class_again(bench):
    before = type(bench.pipeline)
    with bench.moesd.attach(bench.pipeline) as pipeline:
        assert isinstance(pipeline, before)
        assert type(pipeline).__name__ == before.__name__
        assert type(pipeline).__call__.__doc__ == before.__call__.__doc__
    assert type(bench.pipeline) is before


# Seeds


def test_new_generators_give_their_seeds_and_one_generator_counts_from_its_own():
    new = [torch.Generator().manual_seed(seed) for seed in (7, 3, 2**63)]
    assert image_seeds(new, 3, n_calls=1) == [7, 3, 2**63]
    assert image_seeds(new[0], 4, n_calls=1) == [7, 8, 9, 10]


def test_a_generator_that_was_used_gives_another_seed_for_each_state():
    generator, seen = torch.Generator().manual_seed(7), []
    for _ in range(5):
        seen += image_seeds(generator, 1, n_calls=0)
        torch.randn(3, generator=generator)
    assert len(set(seen)) == 5
    again = torch.Generator().manual_seed(7)
    torch.randn(3, generator=again)
    assert image_seeds(again, 1, n_calls=9) == seen[1:2]


def test_without_generators_seeds_differ_between_calls_and_the_global_state_repeats_them():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = [image_seeds(None, 2, n_calls=n) for n in (1, 2)]
        assert first[0] != first[1]
        noise = torch.randn(2)
        torch.manual_seed(1)
        assert [image_seeds(None, 2, n_calls=n) for n in (1, 2)] == first
        assert torch.equal(torch.randn(2), noise)
