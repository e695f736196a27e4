"""A text encoder alone gives what the plain transformers call gives, pooled as its family is."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import normalize
from transformers import MPNetConfig, MPNetModel, SiglipTextModel

from probe.errors import ModelError
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import Conditioning

PROMPTS = ["a nurse", "an auditor at work, smiling!!!", "CEO", "a photo of a mechanic " * 30]


def assert_equal(ours, plain):
    assert ours.shape == plain.shape
    assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max()


def words_of(tokenizer, length):
    return tokenizer(
        PROMPTS, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )


def test_t5_is_embedded_by_the_mean_over_its_words(t5):
    encoder = TextEncoder.load(t5.folder)
    for prompt, row in zip(PROMPTS, encoder.embed(PROMPTS), strict=True):
        with torch.no_grad():
            words = t5.tokenizer(prompt, return_tensors="pt")
            mean = t5.model(**words).last_hidden_state.mean(dim=1)
        np.testing.assert_allclose(row, normalize(mean)[0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_siglip_is_read_at_the_last_position_of_the_padded_prompt(siglip, whole, tmp_path):
    folder = siglip.folder
    if not whole:
        folder = tmp_path / "text"
        siglip.model.text_model.save_pretrained(folder)
        siglip.tokenizer.save_pretrained(folder)
    encoder = TextEncoder.load(folder)
    assert isinstance(encoder.model, SiglipTextModel)
    ids = words_of(siglip.tokenizer, 64).input_ids
    assert (ids[0, -40:] == siglip.tokenizer.eos_token_id).all()
    with torch.no_grad():
        plain = siglip.model.text_model(ids)
    assert_equal(encoder.states(PROMPTS), plain.last_hidden_state)
    assert_equal(encoder.pool(encoder.states(PROMPTS), ids), plain.last_hidden_state[:, -1])
    expected = normalize(plain.last_hidden_state[:, -1])
    np.testing.assert_allclose(encoder.embed(PROMPTS), expected, atol=1e-6)
    apart = [encoder.embed([prompt])[0] for prompt in PROMPTS]
    np.testing.assert_allclose(apart, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["Gemma2", "Qwen3"])
def test_a_decoder_is_read_at_the_last_token_of_the_prompt(name, bert_tokenizer, tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 16}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(bert_tokenizer), num_attention_heads=2, num_key_value_heads=1, **sizes
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    model.save_pretrained(tmp_path)
    bert_tokenizer.save_pretrained(tmp_path)
    json_file = tmp_path / "tokenizer_config.json"
    json_file.write_text(json.dumps(json.loads(json_file.read_text()) | {"padding_side": "left"}))
    plain, told = TextEncoder.load(tmp_path), "a photo of a mechanic at work, "
    conditioning = replace(plain.conditioning, instruction=told)
    instructed = TextEncoder.load(tmp_path, conditioning=conditioning)
    assert instructed.revision != plain.revision
    for encoder, start in ((plain, ""), (instructed, told)):
        for prompt, row in zip(PROMPTS, encoder.embed(PROMPTS), strict=True):
            with torch.no_grad():
                states = model.model(**bert_tokenizer(start + prompt, return_tensors="pt"))
            last = normalize(states.last_hidden_state[:, -1])[0]
            np.testing.assert_allclose(row, last, atol=1e-5)


@pytest.mark.slow
def test_bert_is_masked_and_takes_the_mean_over_its_words(bert):
    encoder = TextEncoder.load(bert.folder)
    words = words_of(bert.tokenizer, 512)
    with torch.no_grad():
        plain = bert.model(**words).last_hidden_state
    assert_equal(encoder.states(PROMPTS), plain)
    mask = words.attention_mask.unsqueeze(2)
    expected = normalize((plain * mask).sum(dim=1) / mask.sum(dim=1))
    np.testing.assert_allclose(encoder.embed(PROMPTS), expected, atol=1e-6)


def test_mpnet_is_opened_although_transformers_does_not_list_it_as_a_text_encoder(bert, tmp_path):
    shape = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    model = MPNetModel(
        MPNetConfig(**shape, vocab_size=len(bert.tokenizer), intermediate_size=32)
    ).eval()
    model.save_pretrained(tmp_path)
    bert.tokenizer.save_pretrained(tmp_path)
    with torch.no_grad():
        words = bert.tokenizer(PROMPTS[:1], return_tensors="pt")
        mean = model(**words).last_hidden_state.mean(dim=1)
    found = TextEncoder.load(tmp_path).embed(PROMPTS[:1])
    np.testing.assert_allclose(found, normalize(mean), atol=1e-6)


@pytest.fixture
def sentence_encoder(bert, tmp_path):
    """The folder of a sentence encoder with a configuration of its pooling."""

    def lay_out(config):
        folder = shutil.copytree(bert.folder, tmp_path / "sentences")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
        return folder

    return lay_out


OLD = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.slow
@pytest.mark.parametrize("config", [OLD, {"pooling_mode": "cls"}])
def test_a_sentence_encoder_that_pools_at_its_first_token_is_read_there(
    bert, sentence_encoder, config
):
    encoder = TextEncoder.load(sentence_encoder(config))
    with torch.no_grad():
        plain = bert.model(**words_of(bert.tokenizer, 512)).last_hidden_state
    np.testing.assert_allclose(encoder.embed(PROMPTS), normalize(plain[:, 0]), atol=1e-6)
    by_mean = TextEncoder.load(bert.folder).embed(PROMPTS)
    assert np.abs(encoder.embed(PROMPTS) - by_mean).max() > 0.01


@pytest.mark.parametrize("mode", ["lasttoken", ["cls", "mean"]])
def test_a_sentence_encoder_that_pools_otherwise_is_refused_until_the_caller_says_how(
    sentence_encoder, mode
):
    folder = sentence_encoder({"pooling_mode": mode})
    with pytest.raises(ModelError, match=r"pools by .*; needed one of mean, cls"):
        TextEncoder.load(folder)
    TextEncoder.load(folder, conditioning=Conditioning(pooling="mean", masked=True))


def test_a_tokenizer_with_more_ids_than_the_embedding_has_rows_is_refused(t5, tmp_path):
    folder = shutil.copytree(t5.folder, tmp_path / "t5")
    tokenizer = t5.tokenizer.__class__.from_pretrained(folder)
    tokenizer.add_tokens([f"<{number}>" for number in range(200)])
    tokenizer.save_pretrained(folder)
    assert len(tokenizer) > 256
    with pytest.raises(ModelError) as caught:
        TextEncoder.load(folder)
    said = str(caught.value)
    assert f"gives {len(tokenizer)} ids but the token embedding in {folder} has 256 rows" in said
    assert f"model.resize_token_embeddings({len(tokenizer)})" in said
    assert "\n" not in said


def test_a_sentencepiece_vocabulary_asks_for_the_package_that_reads_it(t5, tmp_path):
    if find_spec("sentencepiece"):
        pytest.skip("needs an environment without the package sentencepiece")
    folder = shutil.copytree(t5.folder, tmp_path / "t5")
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    with pytest.raises(ModelError) as caught:
        TextEncoder.load(folder)
    assert str(folder / "spiece.model") in str(caught.value)
    assert "`pip install sentencepiece protobuf`" in str(caught.value)
