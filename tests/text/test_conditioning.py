"""What conditions the image model is known, or said by the caller and part of the revision."""

import inspect
import json
import shutil

import diffusers
import pytest
import torch
from transformers import CLIPTextModelWithProjection

from probe.errors import ModelError
from probe.text.checkpoints import model_revision, text_encoders
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import (
    KNOWN,
    Conditioning,
    encoder_revision,
    known_conditioning,
)

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "projection_dim": 16}
PROMPTS = ["a nurse", "a photo of a mechanic"]


@pytest.fixture(scope="module")
def two(lay_out, make_clip, clip_tokenizer):
    """A pipeline of two small encoders that differ in kind and weights but not in width."""
    return lay_out(
        "StableDiffusionXLPipeline",
        text_encoder=make_clip("sd15", clip_tokenizer, **SMALL),
        text_encoder_2=make_clip("sdxl_2", clip_tokenizer, CLIPTextModelWithProjection, **SMALL),
    )


def renamed(folder, class_name, tmp_path, **changes):
    """A copy of a pipeline that says another class, and perhaps other parts."""
    copy = shutil.copytree(folder, tmp_path / class_name, symlinks=True)
    path = copy / "model_index.json"
    index = json.loads(path.read_text()) | {"_class_name": class_name} | changes
    path.write_text(json.dumps(index))
    return copy


# The table


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_class_is_one_of_diffusers_with_just_these_encoders(name):
    slots = {slot for slot in dir_of(name) if slot.startswith("text_encoder")}
    assert set(KNOWN[name]) == slots
    assert {slot.replace("text_encoder", "tokenizer") for slot in slots} <= dir_of(name)


def dir_of(name):
    return set(inspect.signature(getattr(diffusers, name).__init__).parameters)


@pytest.mark.parametrize("name", KNOWN)
def test_classes_that_share_a_row_encode_by_the_same_source(name):
    def source(name):
        kind = getattr(diffusers, name)
        names = [name for name in vars(kind) if name.startswith(("encode_prompt", "_get_"))]
        return {name: inspect.getsource(getattr(kind, name)) for name in names if "prompt" in name}

    first = next(other for other in KNOWN if KNOWN[other] is KNOWN[name])
    assert "encode_prompt" in source(first)
    assert source(name) == source(first)


@pytest.mark.parametrize("options", [{"layer": 0}, {"pooling": "max"}, {"max_tokens": 0}])
def test_a_setting_that_means_nothing_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Conditioning(**options)


# Which encoder


def test_the_first_encoder_is_opened_unless_another_is_named(two):
    assert text_encoders(two) == ("text_encoder", "text_encoder_2")
    first, named = TextEncoder.load(two), TextEncoder.load(two, encoder="text_encoder")
    assert first.revision == named.revision == model_revision(two)
    assert torch.equal(first.states(PROMPTS), named.states(PROMPTS))
    second = TextEncoder.load(two, encoder="text_encoder_2")
    assert isinstance(second.model, CLIPTextModelWithProjection)
    assert (first.states(PROMPTS) - second.states(PROMPTS)).abs().max() > 1e-2


def test_a_refiner_has_its_second_encoder_first(two, tmp_path):
    absent = {"text_encoder": [None, None], "tokenizer": [None, None]}
    folder = renamed(two, "StableDiffusionXLImg2ImgPipeline", tmp_path, **absent)
    encoder = TextEncoder.load(folder)
    assert encoder.revision == model_revision(folder)
    expected = TextEncoder.load(two, encoder="text_encoder_2").states(PROMPTS)
    assert torch.equal(encoder.states(PROMPTS), expected)


def test_an_encoder_that_is_not_there_or_has_no_tokenizer_is_refused(two, clip_folder, tmp_path):
    with pytest.raises(ValueError, match=r"'text_encoder_3'; choose from \['text_encoder', 'te"):
        TextEncoder.load(two, encoder="text_encoder_3")
    with pytest.raises(ValueError, match="it is one itself: leave encoder out"):
        TextEncoder.load(clip_folder, encoder="text_encoder")
    folder = renamed(two, "StableDiffusionXLPipeline", tmp_path, tokenizer_2=[None, None])
    with pytest.raises(ModelError, match="has no tokenizer_2; needed it for its text_encoder_2"):
        TextEncoder.load(folder, encoder="text_encoder_2")


# Settings of the caller


def test_an_unknown_pipeline_is_refused_until_the_caller_says_what_conditions(two, tmp_path):
    folder = renamed(two, "NovelPipeline", tmp_path)
    with pytest.raises(ModelError) as caught:
        TextEncoder.load(folder)
    assert "is a NovelPipeline, whose conditioning by" in str(caught.value)
    assert "conditioning=Conditioning(...)" in str(caught.value)
    assert "StableDiffusion3Pipeline" in str(caught.value)
    encoder = TextEncoder.load(folder, conditioning=known_conditioning(two))
    assert torch.equal(encoder.states(PROMPTS), TextEncoder.load(two).states(PROMPTS))


@pytest.mark.parametrize("layer", [-1, -2])
@pytest.mark.parametrize("final_norm", [True, False])
@pytest.mark.parametrize("slot", ["text_encoder", "text_encoder_2"])
def test_any_layer_can_be_asked_for_with_or_without_the_final_norm(two, slot, layer, final_norm):
    wanted = Conditioning(layer=layer, final_norm=final_norm)
    encoder = TextEncoder.load(two, encoder=slot, conditioning=wanted)
    model = getattr(encoder.model, "text_model", encoder.model)
    with torch.no_grad():
        states = model(encoder.tokenize(PROMPTS), output_hidden_states=True).hidden_states[layer]
        expected = model.final_layer_norm(states) if final_norm else states
    torch.testing.assert_close(encoder.states(PROMPTS), expected)
    assert (states - model.final_layer_norm(states)).abs().max() > 1e-2


def test_a_length_of_the_callers_is_cut_to_that_of_the_model(two):
    shorter = TextEncoder.load(two, conditioning=Conditioning(max_tokens=16))
    assert shorter.states(PROMPTS).shape == (2, 16, 32)
    longer = TextEncoder.load(two, conditioning=Conditioning(max_tokens=500))
    assert longer.states(PROMPTS).shape == (2, 77, 32)


def test_a_layer_or_norm_that_the_model_lacks_is_a_bad_option(two, bert):
    with pytest.raises(ValueError, match="layer is -3 but the encoder has 2; choose -2 to -1"):
        TextEncoder.load(two, conditioning=Conditioning(layer=-3))
    with pytest.raises(ValueError, match="BertModel has no final normalisation"):
        TextEncoder.load(bert.folder, conditioning=Conditioning(layer=-2))
    TextEncoder.load(bert.folder, conditioning=Conditioning(layer=-2, final_norm=False))


# Revisions


def test_a_revision_says_which_encoder_and_which_settings_of_the_caller(two):
    known, base = known_conditioning(two), model_revision(two)
    assert encoder_revision(two, "text_encoder_2") == f"{base}+text_encoder_2"
    assert encoder_revision(two, None, known) == base
    assert encoder_revision(two, None, Conditioning(layer=-2)) == f"{base}+final_norm=True"
    assert encoder_revision(two, "text_encoder_2", Conditioning(gives="both")) == (
        f"{base}+text_encoder_2+layer=-1+final_norm=True"
    )
    changed = Conditioning(layer=-2, final_norm=False, pooling="mean")
    assert TextEncoder.load(two, conditioning=changed).revision == f"{base}+pooling=mean"
