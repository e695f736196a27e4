"""A correction in pipelines of every kind, with random weights."""

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from probe.errors import ModelError
from probe.moesd.token import TOKEN, SpecialToken
from probe.text.encoder import TextEncoder


def change(one, other):
    return np.abs(one - other).max(axis=(1, 2, 3))


def test_a_closed_prompt_draws_the_base_models_picture_beside_an_open_one_that_does_not(
    benches, kind
):
    bench = benches[kind]
    plain = bench.draw()
    with bench.moesd.attach(bench.pipeline):
        corrected = bench.draw()
    assert corrected.shape == plain.shape
    assert (change(corrected, plain) > 0).tolist() == [False, True]
    np.testing.assert_array_equal(bench.draw(), plain)


def test_both_kinds_of_experts_are_at_work(bench):
    images = []
    for moesd in (bench.moesd, replace(bench.moesd, unet_experts=None)):
        with moesd.attach(bench.pipeline):
            images.append(bench.draw())
    assert change(*images)[1] > 0


def test_guidance_negative_prompts_and_several_pictures_of_a_prompt_keep_their_order(bench):
    options = {"negative_prompt": ["a tree"] * 2, "num_images_per_prompt": 2, "guidance_scale": 3.0}
    plain = bench.draw(**options)
    with bench.moesd.attach(bench.pipeline) as pipeline:
        corrected = bench.draw(**options)
        negative = pipeline.encode_prompt(bench.prompts, "cpu", 1, True, ["a tree"] * 2)[1]
    assert (change(corrected, plain) > 0).tolist() == [False, False, True, True]
    untouched = bench.pipeline.encode_prompt(bench.prompts, "cpu", 1, True, ["a tree"] * 2)[1]
    torch.testing.assert_close(negative, untouched, rtol=0, atol=0)


def test_without_guidance_the_batch_is_denoised_once_and_corrected_too(bench):
    plain = bench.draw(guidance_scale=1.0)
    with bench.moesd.attach(bench.pipeline):
        assert (change(bench.draw(guidance_scale=1.0), plain) > 0).tolist() == [False, True]


def test_prompts_given_as_embeddings_pass_and_it_is_said(bench, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("probe"), "propagate", True)
    states = bench.moesd.encoder.states(bench.prompts)
    given = {"prompt_embeds": states, "negative_prompt_embeds": torch.zeros_like(states)}
    plain = bench.draw(**given)
    with bench.moesd.attach(bench.pipeline):
        bench.draw()  # leaves routes behind that must not be taken
        np.testing.assert_array_equal(bench.draw(**given), plain)
    assert "prompt_embeds are given" in caplog.text


@pytest.mark.slow
def test_a_unet_that_is_compiled_already_passes_the_experts_and_forgets_them(bench):
    plain = bench.draw()
    with bench.moesd.attach(bench.pipeline):
        corrected = bench.draw()
    before = bench.pipeline.unet
    bench.pipeline.unet = torch.compile(before, backend="eager")
    try:
        np.testing.assert_allclose(bench.draw(), plain, atol=1e-6)
        with bench.moesd.attach(bench.pipeline):
            np.testing.assert_allclose(bench.draw(), corrected, atol=1e-6)
        np.testing.assert_allclose(bench.draw(), plain, atol=1e-6)
    finally:
        bench.pipeline.unet = before
        torch.compiler.reset()


def test_a_detached_pipeline_holds_nothing_of_the_correction(bench):
    pipeline = bench.pipeline
    names = set(vars(pipeline))
    weights = {name: w.clone() for name, w in pipeline.unet.state_dict().items()}
    attachment = bench.moesd.attach(pipeline)
    bench.draw()
    attachment.detach()
    assert set(vars(pipeline)) == names
    assert not any(module._forward_hooks for module in pipeline.unet.modules())
    assert all(torch.equal(weights[name], w) for name, w in pipeline.unet.state_dict().items())


# What is refused


def test_attaching_twice_and_detaching_what_is_not_attached_are_refused(bench):
    attachment = bench.moesd.attach(bench.pipeline)
    with pytest.raises(ValueError, match="attached to this pipeline already"):
        bench.moesd.attach(bench.pipeline)
    attachment.detach()
    with pytest.raises(ValueError, match="nothing to detach"):
        attachment.detach()


def test_another_text_encoder_is_refused(bench, other):
    config = copy.deepcopy(other.text_encoder.config)
    other.text_encoder = CLIPTextModel(config)
    with pytest.raises(ModelError, match="other weights"):
        bench.moesd.attach(other)
    config.num_hidden_layers += 1
    other.text_encoder = CLIPTextModel(config)
    with pytest.raises(ModelError, match=r"num_hidden_layers 3 .* with 2"):
        bench.moesd.attach(other)
    assert "encode_prompt" not in vars(other)


def test_another_vocabulary_is_refused_and_a_larger_one_is_not(bench, other):
    other.tokenizer.add_tokens(["<mine>"])
    bench.moesd.attach(other).detach()
    reordered = {word: -number for word, number in other.tokenizer.get_vocab().items()}
    other.tokenizer.get_vocab = lambda: reordered
    with pytest.raises(ModelError, match="vocabulary differs"):
        bench.moesd.attach(other)


def test_another_unet_and_none_are_refused(bench, other, benches):
    config = {**other.unet.config, "block_out_channels": (8, 24)}
    other.unet = UNet2DConditionModel.from_config(config)
    with pytest.raises(ModelError, match=r"widths 16 but the denoiser has .* widths 24"):
        bench.moesd.attach(other)
    other.unet = None
    with pytest.raises(ModelError, match="without a denoiser"):
        bench.moesd.attach(other)
    for name in ("CrayonPipeline", "FluxFillPipeline", "StableDiffusionXLPAGPipeline"):
        crayon = type(name, (), {"encode_prompt": None, **vars(other)})()
        with pytest.raises(ModelError, match=f"a {name} is of no family that can be corrected"):
            bench.moesd.attach(crayon)
    other.text_encoder = None
    with pytest.raises(ModelError, match="no text_encoder"):
        bench.moesd.attach(other)


def test_experts_of_a_unet_are_refused_in_a_transformer(benches, bench):
    with pytest.raises(ModelError, match=r"experts sit after .* but the denoiser has 2 attentions"):
        replace(benches["sd3"].moesd, unet_experts=bench.moesd.unet_experts).attach(
            benches["sd3"].pipeline
        )


def test_a_vocabulary_that_has_the_token_already_is_refused(pipeline_folder):
    encoder = TextEncoder.load(pipeline_folder)
    encoder.tokenizer.add_tokens([TOKEN])
    with pytest.raises(ModelError, match=f"has the token {TOKEN} already"):
        SpecialToken.start(encoder, ())
