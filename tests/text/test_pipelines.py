"""Each encoder of a pipeline gives what the pipeline's own encode_prompt computes from it."""

from dataclasses import dataclass

import diffusers
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import CLIPTextModelWithProjection

from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import Conditioning

pytestmark = pytest.mark.slow

PROMPTS = ["a nurse", "an auditor at work, smiling!!!", "CEO", "a photo of a mechanic " * 30]
NO_IMAGES = {"vae": None, "scheduler": None, "transformer": None}


def assert_equal(ours, plain):
    assert ours.shape == plain.shape
    assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max()


def words_of(tokenizer, length):
    return tokenizer(
        PROMPTS, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )


def ends(ids, tokenizer):
    """The first end of each prompt, found the slow way."""
    return [row.index(tokenizer.eos_token_id) for row in ids.tolist()]


# Pipelines


@dataclass
class Case:
    """A pipeline's folder, and what the pipeline itself computes from each of its encoders."""

    folder: object
    states: dict
    pooled: frozenset = frozenset()
    """Encoders whose pooled output conditions the images."""


def tokenizers(parts):
    return {name.replace("text_encoder", "tokenizer"): p.tokenizer for name, p in parts.items()}


def plain_pipeline(class_name, parts, **others):
    models = {name: part.model for name, part in parts.items()}
    return getattr(diffusers, class_name)(**models, **tokenizers(parts), **others)


def stable_diffusion(lay_out, part):
    parts = {"text_encoder": part}
    pipeline = plain_pipeline(
        "StableDiffusionPipeline",
        parts,
        **{"vae": None, "unet": None, "scheduler": None},
        **{"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    )
    with torch.no_grad():
        states, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, do_classifier_free_guidance=False)
    return Case(lay_out("StableDiffusionPipeline", **parts), {"text_encoder": states})


@pytest.fixture(scope="module")
def sd15(lay_out, make_clip, clip_tokenizer):
    return stable_diffusion(lay_out, make_clip("sd15", clip_tokenizer))


@pytest.fixture(scope="module")
def sd21(lay_out, make_clip, open_clip_tokenizer):
    return stable_diffusion(lay_out, make_clip("sd21", open_clip_tokenizer))


@pytest.fixture(scope="module")
def clips(make_clip, clip_tokenizer, open_clip_tokenizer):
    """The two of Stable Diffusion 3; SDXL has the same second one."""
    kind = CLIPTextModelWithProjection
    return make_clip("sd15", clip_tokenizer, kind), make_clip("sdxl_2", open_clip_tokenizer, kind)


@pytest.fixture(scope="module")
def sdxl(lay_out, make_clip, clip_tokenizer, clips):
    parts = {"text_encoder": make_clip("sd15", clip_tokenizer), "text_encoder_2": clips[1]}
    pipeline = plain_pipeline(
        "StableDiffusionXLPipeline",
        parts,
        **{"vae": None, "unet": None, "scheduler": None, "add_watermarker": False},
    )
    with torch.no_grad():
        states, *_ = pipeline.encode_prompt(
            PROMPTS, device="cpu", do_classifier_free_guidance=False
        )
    return Case(
        lay_out("StableDiffusionXLPipeline", **parts),
        {"text_encoder": states[..., :768], "text_encoder_2": states[..., 768:]},
        frozenset({"text_encoder_2"}),
    )


@pytest.fixture(scope="module")
def sd3(lay_out, clips, make_t5):
    # The width of t5-v1_1-xl: the pipeline pads the CLIPs' 768 + 1280 features to it.
    t5 = make_t5(d_model=2048, num_heads=32, num_layers=1)
    parts = {"text_encoder": clips[0], "text_encoder_2": clips[1], "text_encoder_3": t5}
    pipeline = plain_pipeline("StableDiffusion3Pipeline", parts, **NO_IMAGES)
    with torch.no_grad():
        states, *_ = pipeline.encode_prompt(
            PROMPTS, None, None, device="cpu", do_classifier_free_guidance=False
        )
    of_clips, of_t5 = states[:, :77], states[:, 77:]
    return Case(
        lay_out("StableDiffusion3Pipeline", **parts),
        {
            "text_encoder": of_clips[..., :768],
            "text_encoder_2": of_clips[..., 768:2048],
            "text_encoder_3": of_t5,
        },
        frozenset({"text_encoder", "text_encoder_2"}),
    )


@pytest.fixture(scope="module")
def flux(lay_out, make_clip, clip_tokenizer, t5):
    parts = {"text_encoder": make_clip("sd15", clip_tokenizer), "text_encoder_2": t5}
    pipeline = plain_pipeline("FluxPipeline", parts, **NO_IMAGES)
    with torch.no_grad():
        states, *_ = pipeline.encode_prompt(PROMPTS, device="cpu")
    folder = lay_out("FluxPipeline", **parts)
    return Case(folder, {"text_encoder_2": states}, frozenset({"text_encoder"}))


DEEP_FLOYD = ("unet", "scheduler", "safety_checker", "feature_extractor", "watermarker")
CAPTIONED = {
    "PixArtAlphaPipeline": NO_IMAGES,
    "PixArtSigmaPipeline": NO_IMAGES,
    "IFPipeline": dict.fromkeys(DEEP_FLOYD) | {"requires_safety_checker": False},
}


@pytest.fixture(scope="module", params=CAPTIONED)
def captioned(request, lay_out, t5):
    """A pipeline whose one T5 reads prompts as captions, in lower case."""
    parts = {"text_encoder": t5}
    pipeline = plain_pipeline(request.param, parts, **CAPTIONED[request.param])
    with torch.no_grad():
        states = pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False, device="cpu")[0]
    return Case(lay_out(request.param, **parts), {"text_encoder": states})


@pytest.fixture(scope="module")
def hunyuan(lay_out, bert, t5):
    parts = {"text_encoder": bert, "text_encoder_2": t5}
    others = dict.fromkeys(("safety_checker", "feature_extractor"))
    pipeline = plain_pipeline(
        "HunyuanDiTPipeline", parts, **NO_IMAGES, **others, requires_safety_checker=False
    )
    with torch.no_grad():
        states = {
            name: pipeline.encode_prompt(
                PROMPTS, device="cpu", do_classifier_free_guidance=False, text_encoder_index=number
            )[0]
            for number, name in enumerate(parts)
        }
    return Case(lay_out("HunyuanDiTPipeline", **parts), states)


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "sd3", "flux", "hunyuan"])
def test_states_are_those_of_the_pipeline(request, name):
    check_states(request.getfixturevalue(name))


def test_states_are_those_of_a_pipeline_that_reads_captions(captioned):
    check_states(captioned)
    encoder = TextEncoder.load(captioned.folder)
    assert torch.equal(encoder.tokenize(["A Nurse "]), encoder.tokenize(["a nurse"]))
    plain = TextEncoder.load(captioned.folder / "text_encoder")
    assert not torch.equal(plain.tokenize(["A Nurse "]), plain.tokenize(["a nurse"]))


def check_states(case):
    for slot in case.states.keys() | case.pooled:
        encoder = TextEncoder.load(case.folder, encoder=slot)
        gives = {"states": slot in case.states, "pooled": slot in case.pooled}
        expected = "both" if all(gives.values()) else "pooled" if gives["pooled"] else "states"
        assert encoder.conditioning.gives == expected
        if slot in case.states:
            assert_equal(encoder.states(PROMPTS), case.states[slot])


# Stable Diffusion v1.x and v2.x


def test_padding_conditions_the_image_as_no_mask_hides_it(sd15):
    plain = TextEncoder.load(sd15.folder)
    masked = TextEncoder.load(sd15.folder, conditioning=Conditioning(masked=True))
    end = ends(plain.tokenize(PROMPTS), plain.tokenizer)[0]
    ours, theirs = plain.states(PROMPTS)[0], masked.states(PROMPTS)[0]
    torch.testing.assert_close(ours[: end + 1], theirs[: end + 1])
    assert (ours[end + 1 :] - theirs[end + 1 :]).abs().max() > 1e-3
    assert_equal(ours, sd15.states["text_encoder"][0])


def test_a_mask_is_that_of_the_tokenizer_also_where_the_end_is_the_padding(sd15):
    encoder = TextEncoder.load(sd15.folder, conditioning=Conditioning(masked=True))
    words = words_of(encoder.tokenizer, 77)
    with torch.no_grad():
        plain = encoder.model(words.input_ids, attention_mask=words.attention_mask)
    assert_equal(encoder.states(PROMPTS), plain.last_hidden_state)


# SDXL


@pytest.mark.parametrize("slot", ["text_encoder", "text_encoder_2"])
def test_sdxl_is_embedded_by_the_state_that_conditions_at_the_first_end(sdxl, slot):
    encoder = TextEncoder.load(sdxl.folder, encoder=slot)
    first = ends(encoder.tokenize(PROMPTS), encoder.tokenizer)
    expected = normalize(sdxl.states[slot][range(4), first])
    np.testing.assert_allclose(encoder.embed(PROMPTS), expected, atol=1e-6)


# T5


def test_t5_that_sees_its_padding_is_embedded_with_it(sd3):
    encoder = TextEncoder.load(sd3.folder, encoder="text_encoder_3")
    mask = words_of(encoder.tokenizer, 256).attention_mask.unsqueeze(2)
    mean = (sd3.states["text_encoder_3"] * mask).sum(dim=1) / mask.sum(dim=1)
    np.testing.assert_allclose(encoder.embed(PROMPTS), normalize(mean), atol=1e-6)
    alone = TextEncoder.load(sd3.folder / "text_encoder_3").embed(PROMPTS)
    assert np.abs(encoder.embed(PROMPTS) - alone).max() > 1e-3
