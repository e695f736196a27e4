"""What a method is made from, of a small model with random weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from probe.baselines.method import Material, Trial
from probe.images.intervention import Intervention
from probe.images.pipelines import load_pipeline
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet


@pytest.fixture(scope="session")
def lexicon(small_lexicon: Path) -> Lexicon:
    return Lexicon.load(small_lexicon)


@pytest.fixture(scope="session")
def material(pipeline_folder: Path, lexicon: Lexicon) -> Material:
    """Two pictures of each gender and training occupation, drawn as noise; all trials are fair."""
    prompts = PromptSet.build(lexicon)
    prompts, seen = prompts.take(prompts.is_training), lexicon.occupations_of("train")
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (4 * len(seen), 3, 16, 16)).astype(np.float32)

    def try_out(intervention: Intervention, subjects: Sequence[str]) -> Trial:
        return Trial(tuple(subjects), np.full((len(subjects), 2), 0.5), 1.0)

    return Material(
        encoder=TextEncoder.load(pipeline_folder),
        pipeline=load_pipeline(pipeline_folder),
        lexicon=lexicon,
        prompts=prompts,
        examples=lambda: ([pixels], [f"a photo of a {name}" for name in seen for _ in range(4)]),
        try_out=try_out,
        validation=("a validation occupation",),
    )


@pytest.fixture
def denoise(material: Material) -> Callable[..., np.ndarray]:
    """Make pictures under an intervention, from one noise a seed."""
    import torch

    def make(intervention: Intervention, prompts, *, guidance_scale=3.0, n_steps=4, seeds=None):
        seeds = list(range(len(prompts))) if seeds is None else seeds
        conditions = intervention.conditions(prompts, seeds)
        states = material.encoder.states([of.prompt for of in conditions])
        states = intervention.correct(conditions, states)
        latents = torch.stack(
            [torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        )
        with torch.no_grad(), intervention.denoising(material.pipeline, conditions):
            return material.pipeline(
                prompt_embeds=states,
                negative_prompt_embeds=material.pipeline.encode_prompt([""], "cpu", 1, False)[
                    0
                ].expand_as(states)
                if guidance_scale > 1
                else None,
                latents=latents,
                guidance_scale=guidance_scale,
                num_inference_steps=n_steps,
                output_type="latent",
            ).images.numpy()

    return make
