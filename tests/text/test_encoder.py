"""The encoder gives what the image model gets, and pools at the true end of the text."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPModel, CLIPTextModel

from probe.errors import DataError, ShapeError
from probe.text.encoder import TextEncoder
from probe.text.encoding.tokenization import batches_by_length

PROMPTS = ["a nurse", "a photo of a mechanic", "an auditor at work, smiling!", "CEO"]


@pytest.fixture(scope="module")
def encoder(pipeline_folder):
    """For tests that do not change it."""
    return TextEncoder.load(pipeline_folder)


# What conditions the image model


def test_states_are_bit_for_bit_what_the_pipeline_conditions_on(encoder, pipeline_folder):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(pipeline_folder)
    expected, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, do_classifier_free_guidance=False)
    assert torch.equal(encoder.states(PROMPTS), expected)


# Pooling


def test_pooling_equals_that_of_transformers_where_its_configuration_is_right(encoder):
    ids = encoder.tokenize(PROMPTS)
    pooled = encoder.pool(encoder.states(PROMPTS), ids)
    assert torch.equal(pooled, encoder.model(ids).pooler_output)


def test_a_clip_folder_pools_to_the_features_of_clip(clip_folder):
    encoder = TextEncoder.load(clip_folder)
    clip = CLIPModel.from_pretrained(clip_folder)
    pooled = encoder.pool(encoder.states(PROMPTS), encoder.tokenize(PROMPTS))
    expected = clip.get_text_features(encoder.tokenize(PROMPTS)).pooler_output
    torch.testing.assert_close(clip.text_projection(pooled), expected)


def test_embeddings_are_the_pooled_states_of_unit_length(encoder):
    pooled = encoder.pool(encoder.states(PROMPTS), encoder.tokenize(PROMPTS)).numpy()
    z = encoder.embed(PROMPTS)
    assert z.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-6)
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(z, expected, atol=1e-6)  # embed leaves out the shared padding


def test_states_and_ids_that_do_not_belong_together_are_refused(encoder):
    states, ids = encoder.states(PROMPTS), encoder.tokenize(PROMPTS)
    with pytest.raises(ShapeError, match=r"\(4, 77, 32\) but the token ids of \(3, 77\)"):
        encoder.pool(states, ids[:3])
    with pytest.raises(ShapeError, match="no end-of-text"):
        encoder.pool(states[:, :3], ids[:, :3])


# Nothing twice


@settings(max_examples=10)
@given(choice=st.lists(st.sampled_from(PROMPTS), max_size=12))
def test_a_repeated_prompt_is_encoded_once_and_has_one_embedding(encoder, choice):
    calls = []
    z = encoder.embed(choice, progress=lambda *call: calls.append(call))
    n_distinct = len(set(choice))
    assert calls[-1:] == [(n_distinct, n_distinct)] * bool(choice)
    for prompt in set(choice):
        rows = z[[row for row, other in enumerate(choice) if other == prompt]]
        np.testing.assert_array_equal(rows, rows[:1].repeat(len(rows), axis=0))
        np.testing.assert_allclose(rows[0], encoder.embed([prompt])[0], atol=1e-6)


def test_padded_states_of_a_repeated_prompt_are_computed_once(encoder):
    rows = []
    hook = encoder.model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    states = encoder.states([PROMPTS[1], PROMPTS[0], PROMPTS[1]])
    hook.remove()
    assert rows == [2]
    assert torch.equal(states, encoder.states(PROMPTS[:2])[[1, 0, 1]])


@given(lengths=st.lists(st.integers(1, 20), max_size=50), size=st.integers(1, 60))
def test_every_prompt_is_in_one_batch_and_none_is_shorter_than_one_before(lengths, size):
    batches = list(batches_by_length(lengths, size))
    rows = np.concatenate([np.empty(0, int), *batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert (np.diff(np.array(lengths)[rows.astype(int)]) >= 0).all()
    assert all(len(batch) == size for batch in batches[:-1])


def test_an_encoder_that_is_not_causal_takes_prompts_by_length_and_keeps_their_order(bert):
    encoder = TextEncoder.load(bert.folder)
    prompts = ["a photo of a nurse", "mechanic", "a nurse", "a photo of a mechanic", "nurse"]
    shapes, calls = [], []
    hook = encoder.model.register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].shape))
    )
    z = encoder.embed(prompts, batch_size=2, progress=lambda *call: calls.append(call))
    hook.remove()
    assert shapes == [(2, 3), (2, 7), (1, 7)]
    assert calls == [(2, 5), (4, 5), (5, 5)]
    for prompt, row in zip(prompts, z, strict=True):
        np.testing.assert_allclose(row, encoder.embed([prompt])[0], atol=1e-6)


def test_an_encoder_with_an_adapter_or_a_hook_in_it_is_run_as_it_is(pipeline_folder):
    encoder = TextEncoder.load(pipeline_folder)
    plain = encoder.embed(PROMPTS)
    layer = encoder.model.encoder.layers[0]
    hook = layer.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    hooked = encoder.embed(PROMPTS)
    hook.remove()
    assert np.abs(hooked - plain).max() > 1e-3
    np.testing.assert_array_equal(encoder.embed(PROMPTS), plain)

    class Doubled(torch.nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer.mlp.fc1.__class__ = Doubled
    doubled = encoder.embed(PROMPTS)
    assert np.abs(doubled - plain).max() > 1e-3
    pooled = encoder.pool(encoder.states(PROMPTS), encoder.tokenize(PROMPTS)).numpy()
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(doubled, expected, atol=1e-6)


# Bad and strange prompts


def test_a_prompt_of_ten_thousand_characters_is_cut_and_announced(encoder, caplog):
    long, fits = "a nurse " * 1250, "a" * 75
    with caplog.at_level(logging.WARNING, logger="probe"):
        ids = encoder.tokenize([*PROMPTS, fits, long])
    assert "1 of 6 prompts are longer than the 77 tokens" in caplog.text
    assert ids.shape == (6, 77)
    assert ids[-1, -1] == encoder.tokenizer.eos_token_id
    assert np.isfinite(encoder.embed([long])).all()


def test_the_limit_that_is_announced_is_the_prompts_own_and_not_that_of_an_instruction(
    decoder, caplog, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("probe"), "propagate", True)
    decoder("a photo of work, ").tokenize(["a nurse " * 50])
    assert "1 of 1 prompts are longer than the 32 tokens" in caplog.text


@pytest.mark.parametrize("bad", ["", "  ", "a\0b", "\ud800"])
def test_a_bad_prompt_is_refused_before_anything_is_encoded(encoder, bad):
    for encode in (encoder.tokenize, encoder.states, encoder.embed):
        with pytest.raises(DataError):
            encode(["a nurse", bad])


# One more token


def test_an_added_token_does_not_become_the_end_where_the_configuration_says_two(
    make_clip, clip_tokenizer
):
    """The configurations of Stable Diffusion v1.x have this mistake."""
    encoder = TextEncoder.load(make_clip("sd15", clip_tokenizer).folder)
    assert isinstance(encoder.model, CLIPTextModel)
    assert encoder.model.config.eos_token_id == 2
    encoder.tokenizer.add_tokens(["<bias>"])
    token_id = encoder.tokenizer.convert_tokens_to_ids("<bias>")
    encoder.model.resize_token_embeddings(token_id + 1)
    ids = encoder.tokenize(["a <bias> nurse"])
    states = encoder.states(["a <bias> nurse"])
    end = ids[0].tolist().index(encoder.tokenizer.eos_token_id)
    token = ids[0].tolist().index(token_id)
    # The trap: transformers pools at the new token, which has the largest id.
    assert torch.equal(encoder.model(ids).pooler_output[0], states[0, token])
    assert torch.equal(encoder.pool(states, ids)[0], states[0, end])
    assert token < end


# Gradients


def test_the_model_is_frozen_and_gradients_still_reach_a_token(pipeline_folder):
    encoder = TextEncoder.load(pipeline_folder)
    assert not encoder.model.training
    assert not any(weight.requires_grad for weight in encoder.model.parameters())
    token_id = encoder.tokenizer.convert_tokens_to_ids("n")
    weight = encoder.model.get_input_embeddings().weight.requires_grad_(True)
    ids = encoder.tokenize(["a nurse"])
    encoder.pool(encoder.forward_ids(ids), ids).square().sum().backward()
    assert weight.grad[token_id].abs().sum() > 0
    assert weight.grad[encoder.tokenizer.convert_tokens_to_ids("q")].abs().sum() == 0


def test_an_unknown_device_is_a_bad_option(pipeline_folder):
    with pytest.raises(ValueError, match="there is no device 'toaster' here; choose 'cpu'"):
        TextEncoder.load(pipeline_folder, device="toaster")


@pytest.mark.gpu
def test_a_gpu_gives_the_same_embeddings(pipeline_folder, encoder):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    on_gpu = TextEncoder.load(pipeline_folder, device="cuda").embed(PROMPTS)
    np.testing.assert_allclose(on_gpu, encoder.embed(PROMPTS), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "shape"), [("embed", (0, 32)), ("states", (0, 77, 32)), ("tokenize", (0, 77))]
)
def test_no_prompts_give_no_rows_and_one_string_is_no_list_of_letters(encoder, method, shape):
    assert getattr(encoder, method)([]).shape == shape
    with pytest.raises(DataError, match=r"is the string 'nurse'; needed a list .* \['nurse'\]"):
        getattr(encoder, method)("nurse")
