"""A correction beside what else is in a pipeline: LoRAs, inversions, offloading, schedulers."""

from dataclasses import replace

import accelerate
import diffusers
import numpy as np
import pytest
import torch
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model

from probe.images.pipelines import load_pipeline
from probe.moesd.experts import Experts

IN_THE_UNET = ["to_q", "to_k", "to_v", "to_out.0"]
IN_THE_ENCODER = ["q_proj", "v_proj"]


def change(one, other):
    return np.abs(one - other).max(axis=(1, 2, 3))


def random_lora(where):
    return LoraConfig(r=2, init_lora_weights=False, target_modules=where)  # not the identity


@pytest.fixture(scope="session")
def lora(pipeline_folder, tmp_path_factory):
    """A file of a LoRA for the U-Net, as diffusers writes it."""
    folder = tmp_path_factory.mktemp("lora")
    unet = load_pipeline(pipeline_folder).unet
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        unet.add_adapter(random_lora(IN_THE_UNET))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    diffusers.StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder / "pytorch_lora_weights.safetensors"


def load(pipeline, lora):
    pipeline.load_lora_weights(lora, adapter_name="style", low_cpu_mem_usage=False)


def load_into_encoder(pipeline):
    """What transformers' ``add_adapter`` does; the newest PEFT is too old for its check of that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        inject_adapter_in_model(random_lora(IN_THE_ENCODER), pipeline.text_encoder, "style")


@pytest.fixture
def own(bench, other):
    """A bench whose pipeline a test may change."""
    return replace(bench, pipeline=other)


@pytest.fixture
def ajar(bench):
    """A correction whose gate opens for every prompt, and whose experts move nothing."""
    return replace(
        bench.moesd,
        gate=replace(bench.moesd.gate, neutral_below=0.0),
        token=replace(bench.moesd.token, stands="nowhere"),
        experts=Experts(bench.moesd.encoder.n_features, width=2),
        unet_experts=None,
    )


def encode(pipeline, prompts, **options):
    with torch.no_grad():
        return pipeline.encode_prompt(prompts, "cpu", 1, False, **options)[0]


# LoRAs


@pytest.mark.slow
def test_a_lora_may_come_before_the_correction_or_after_and_stays_when_it_goes(own, lora):
    plain = own.draw()
    with own.moesd.attach(own.pipeline):
        corrected = own.draw()
        load(own.pipeline, lora)
        after = own.draw()
    styled = own.draw()
    with own.moesd.attach(own.pipeline):
        before = own.draw()
    assert change(styled, plain).min() > 0
    assert change(after, corrected).min() > 0
    np.testing.assert_array_equal(before, after)
    assert (change(after, styled) > 0).tolist() == [False, True]
    np.testing.assert_array_equal(own.draw(), styled)
    with own.moesd.attach(own.pipeline):
        own.pipeline.unload_lora_weights()
        np.testing.assert_array_equal(own.draw(), corrected)
    np.testing.assert_array_equal(own.draw(), plain)


@pytest.mark.parametrize("scale", [None, 0.5])
def test_what_a_lora_makes_of_a_prompt_reaches_the_experts(own, ajar, scale):
    prompts, options = own.prompts, {} if scale is None else {"lora_scale": scale}
    plain = encode(own.pipeline, prompts)
    load_into_encoder(own.pipeline)
    styled, whole = encode(own.pipeline, prompts, **options), encode(own.pipeline, prompts)
    assert (styled - plain).abs().max() > 0.1
    assert scale is None or (styled - whole).abs().max() > 0.1
    with ajar.attach(own.pipeline):
        torch.testing.assert_close(encode(own.pipeline, prompts, **options), styled)
        torch.testing.assert_close(encode(own.pipeline, prompts), whole)  # scaled back


def test_a_lora_in_the_text_encoder_does_not_change_who_is_corrected(own):
    load_into_encoder(own.pipeline)
    styled = encode(own.pipeline, own.prompts)
    with own.moesd.attach(own.pipeline):
        corrected = encode(own.pipeline, own.prompts)
    is_moved = (corrected != styled).flatten(1).any(dim=1)
    assert is_moved.tolist() == [False, True]
    torch.testing.assert_close(encode(own.pipeline, own.prompts), styled, rtol=0, atol=0)


# Textual inversions


def test_words_that_an_inversion_brought_keep_their_meaning(own, ajar):
    vectors = torch.randn(2, 32, generator=torch.Generator().manual_seed(6))
    own.pipeline.load_textual_inversion({"<mine>": vectors}, token="<mine>")
    prompts = ["a photo of a <mine> nurse", "a nurse"]
    meant = encode(own.pipeline, prompts)
    with ajar.attach(own.pipeline):
        torch.testing.assert_close(encode(own.pipeline, prompts), meant)


# Offloading: accelerate's hooks, with the CPU as the device that parts are fetched to


def parts_of(pipeline):
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def by_model(pipeline):
    pipeline.enable_model_cpu_offload(device="cpu")


def by_weight(pipeline):
    """What ``enable_sequential_cpu_offload`` does; for it, the CPU is "cpu:0", which fails."""
    for part in parts_of(pipeline):
        accelerate.cpu_offload(part, execution_device="cpu")
    assert pipeline.text_encoder.get_input_embeddings().weight.is_meta


@pytest.mark.slow
@pytest.mark.parametrize("offload", [by_model, by_weight])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_offloaded_pipeline_is_corrected_like_any_other(own, offload, is_first):
    plain = own.draw()
    with own.moesd.attach(own.pipeline):
        corrected = own.draw()
    if is_first:
        offload(own.pipeline)
    attachment = own.moesd.attach(own.pipeline)
    if not is_first:
        offload(own.pipeline)
    np.testing.assert_array_equal(own.draw(), corrected)
    attachment.detach()
    np.testing.assert_array_equal(own.draw(), plain)


def test_an_encoder_that_is_read_before_its_last_layer_may_be_offloaded(benches):
    bench = benches["xl"]
    with bench.moesd.attach(bench.pipeline):
        corrected = bench.draw()
    by_weight(bench.pipeline)
    try:
        with bench.moesd.attach(bench.pipeline):
            np.testing.assert_array_equal(bench.draw(), corrected)
    finally:
        for part in parts_of(bench.pipeline):
            accelerate.hooks.remove_hook_from_module(part, recurse=True)


# Schedulers


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
@pytest.mark.parametrize(
    "name",
    [
        "DDPM", "DPMSolverMultistep", "EulerAncestralDiscrete", "EulerDiscrete", "HeunDiscrete",
        "LMSDiscrete", "PNDM", "UniPCMultistep",
    ],
)  # fmt: skip
def test_a_correction_works_with_any_scheduler(bench, name):
    before = bench.pipeline.scheduler
    bench.pipeline.scheduler = getattr(diffusers, f"{name}Scheduler").from_config(before.config)
    try:
        plain = bench.draw(num_inference_steps=4)
        with bench.moesd.attach(bench.pipeline):
            corrected = bench.draw(num_inference_steps=4)
        assert (change(corrected, plain) > 0).tolist() == [False, True]
    finally:
        bench.pipeline.scheduler = before
