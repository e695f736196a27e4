"""What is recorded is what stood in the network, and the network is left as it was."""

import numpy as np
import pytest
import torch

from probe.errors import DataError
from probe.latent.tracing.heads import attribute_heads
from probe.latent.tracing.patching import patch_states
from probe.stats.resampling import Resampling
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import Conditioning
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.recording import record


@pytest.fixture(scope="module")
def bert_encoder(bert):
    masked = Conditioning(pooling="mean", masked=True, max_tokens=16)
    return TextEncoder.load(bert.folder, conditioning=masked)


@pytest.fixture(scope="module")
def explicit():
    return PromptSet.build(Lexicon.load()).select(
        group=["male", "female"], subject=["nurse", "CEO"]
    )


def test_residuals_are_the_hidden_states_of_transformers(tinytown, explicit):
    kept = record(tinytown, explicit, sites=["residual"], positions=["start", "end"])
    ids = tinytown.tokenize(explicit.prompts)
    output = tinytown.model(ids, output_hidden_states=True)
    end = (ids == tinytown.tokenizer.eos_token_id).int().argmax(dim=1)
    assert kept.layers == {"residual": (0, 1, 2, 3, 4)}
    last = tinytown.model.final_layer_norm(torch.from_numpy(kept.states["residual"][-1]))
    streams = [*kept.states["residual"][:-1], last]
    for states, expected in zip(streams, [*output.hidden_states[:-1], output[0]], strict=True):
        rows = torch.arange(len(ids))
        np.testing.assert_allclose(states[:, 0], expected[:, 0], atol=1e-5)
        np.testing.assert_allclose(states[:, 1], expected[rows, end], atol=1e-5)


def test_layers_after_the_one_that_reaches_the_images_are_left_out(tinytown, explicit):
    pairs = PromptSet.build(Lexicon.load()).select(
        group=["male", "female"], subject=["nurse", "CEO", "mechanic"]
    )
    read = Conditioning(layer=-2, final_norm=False)  # as in Stable Diffusion XL and 3
    penultimate = TextEncoder.load("tinytown", conditioning=read)
    kept, whole = (record(of, explicit, positions=["end"]) for of in (penultimate, tinytown))
    assert kept.layers["residual"] == (0, 1, 2, 3)
    for site, layers in kept.layers.items():
        for layer in layers:
            same = (of.at(site, layer, "end") for of in (kept, whole))
            np.testing.assert_array_equal(*same)
    heads = attribute_heads(penultimate, pairs, resampling=Resampling(20))
    assert heads["layer"].max() == 3
    assert set(heads["measure"]) == {"patching"}  # the states are no sum through a last norm


def test_the_embedding_of_the_person_is_that_of_the_word(tinytown, explicit):
    kept = record(tinytown, explicit, sites=["residual"], positions=["person"])
    states = kept.at("residual", 0, "person")
    parts = tinytown.model.embeddings
    for prompt, state in zip(explicit.prompts, states, strict=True):
        word = prompt.split()[4]
        token = tinytown.tokenizer.convert_tokens_to_ids(f"{word}</w>")
        expected = parts.token_embedding.weight[token] + parts.position_embedding.weight[5]
        np.testing.assert_allclose(state, expected, atol=1e-6)


def test_the_batch_and_the_order_of_prompts_change_nothing(tinytown, explicit):
    whole = record(tinytown, explicit)
    small = record(tinytown, explicit, batch_size=3)
    back = record(tinytown, PromptSet(explicit.table[::-1].reset_index(drop=True)))
    for site, states in whole.states.items():
        np.testing.assert_allclose(states, small.states[site], atol=1e-5)
        np.testing.assert_allclose(states, back.states[site][:, ::-1], atol=1e-5)


@pytest.mark.parametrize("kind", ["tinytown", "bert_encoder"])
def test_pooled_is_what_the_encoder_pools(request, kind):
    encoder = request.getfixturevalue(kind)
    prompts = ["a nurse", "a photo of a mechanic"]
    kept = record(encoder, prompts, sites=["residual"], positions=["pooled"])
    pooled = torch.from_numpy(kept.states["residual"][-1, :, 0])
    if kind == "tinytown":
        pooled = encoder.model.final_layer_norm(pooled)
    z = torch.nn.functional.normalize(pooled, dim=1)
    np.testing.assert_allclose(z, encoder.embed(prompts), atol=1e-6)


def test_start_and_end_of_bert_are_its_class_and_separator_tokens(bert_encoder):
    kept = record(
        bert_encoder, ["a photo of a nurse"], sites=["residual"], positions=["start", "end"]
    )
    words = bert_encoder.tokenizer("a photo of a nurse", return_tensors="pt")
    expected = bert_encoder.model(**words).last_hidden_state[0, [0, -1]]
    np.testing.assert_allclose(kept.states["residual"][-1, 0], expected, atol=1e-5)


def test_an_encoder_that_is_shown_its_padding_is_not_trimmed(bert_encoder):
    unmasked = Conditioning(pooling="mean", max_tokens=16)
    seeing = TextEncoder(
        bert_encoder.model, bert_encoder.tokenizer, id="bert", revision="1", conditioning=unmasked
    )
    prompts = ["a nurse", "a photo of a mechanic"]
    ids = bert_encoder.tokenize(prompts)
    for encoder in (seeing, bert_encoder):  # what the property says is what the network does
        padded, short = encoder.forward_ids(ids)[0, :4], encoder.forward_ids(ids[:1, :4])[0]
        assert ((padded - short).abs().max() > 1e-3) == encoder.needs_padding
    kept = record(seeing, prompts, sites=["residual"], positions=["start"])
    np.testing.assert_allclose(
        kept.at("residual", 2, "start"), seeing.forward_ids(ids)[:, 0], atol=1e-5
    )


def test_an_instruction_is_read_but_its_states_are_not_recorded(decoder):
    told, prompts = "a photo of work, ", ["a nurse", "a photo of a mechanic"]
    instructed, plain = decoder(told), decoder()
    positions = ["start", "end", "pooled"]
    ours = record(instructed, prompts, positions=positions)
    expected = record(plain, [told + prompt for prompt in prompts], positions=positions)
    for site, states in expected.states.items():
        np.testing.assert_allclose(ours.states[site], states, atol=1e-5)
    unlike = record(plain, prompts, positions=positions)
    assert np.abs(ours.states["residual"] - unlike.states["residual"]).max() > 0.1


@pytest.mark.parametrize("template", ["[CLS] $A [SEP]", "[CLS] $A", "$A"])  # BERT, Gemma, Qwen
def test_the_tokens_after_an_instruction_have_their_roles(decoder, explicit, template):
    told, prompts = "a photo of work, ", explicit  # all of which end with their subject
    kept = record(
        decoder(told, template), prompts, sites=["residual"], positions=["subject", "end"]
    )
    plain = record(
        decoder(template=template),
        [told + prompt for prompt in prompts.prompts],
        sites=["residual"],
        positions=["end"],
    )
    np.testing.assert_allclose(
        kept.at("residual", 2, "end"), plain.at("residual", 2, "end"), atol=1e-5
    )
    is_last = not template.endswith("[SEP]")
    same = np.array_equal(kept.at("residual", 2, "subject"), kept.at("residual", 2, "end"))
    assert same == is_last


def test_after_an_instruction_a_whole_male_prompt_makes_the_female_one_male(decoder):
    pairs = PromptSet.build(Lexicon.load()).select(
        group=["male", "female"], subject=["nurse", "CEO", "mechanic"]
    )
    patched = patch_states(
        decoder("a photo of work, "), pairs, positions=["all"], resampling=Resampling(20)
    )
    table = patched.table.query("site == 'residual'")
    np.testing.assert_allclose(table["value"], [1.0, 1.0, 1.0], atol=1e-5)


def test_padding_with_the_end_of_text_is_no_part_of_a_prompt_that_has_no_end(decoder):
    encoder = decoder(pad_token="[MASK]", eos_token="[MASK]")  # as Llama and Qwen 2.5 are padded
    prompts = ["a nurse", "a photo of a mechanic"]
    apart = [encoder.embed([prompt])[0] for prompt in prompts]
    with torch.no_grad():
        for prompt, row in zip(prompts, apart, strict=True):
            ids = encoder.tokenizer(prompt, return_tensors="pt").input_ids
            last = encoder.model(ids).last_hidden_state[0, -1]
            np.testing.assert_allclose(row, torch.nn.functional.normalize(last, dim=0), atol=1e-5)
    np.testing.assert_allclose(encoder.embed(prompts), apart, atol=1e-5)


def test_a_prompt_without_the_role_is_named(tinytown):
    neutral = PromptSet.build(Lexicon.load()).select(group="neutral", subject="nurse")
    with pytest.raises(DataError, match=r"1 of 1 prompts have no token of role 'person', the fir"):
        record(tinytown, neutral, positions=["end", "person"])


def test_what_is_not_there_is_a_bad_option(tinytown):
    for options, message in (
        ({"sites": ["neuron"]}, "site 'neuron' is not there"),
        ({"positions": ["middle"]}, "position 'middle' is not there"),
    ):
        with pytest.raises(ValueError, match=message):
            record(tinytown, ["a nurse"], **options)
    with pytest.raises(DataError, match="no prompts to record"):
        record(tinytown, [])
    with pytest.raises(ValueError, match="nothing was recorded at 'mlp', layer 0"):
        record(tinytown, ["a nurse"], positions=["end"]).at("mlp", 0, "end")
