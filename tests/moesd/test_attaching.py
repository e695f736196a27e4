"""A correction in pipelines of every kind, with random weights."""

import copy
import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DDPMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from probe.errors import ModelError
from probe.images.pipelines import load_pipeline
from probe.moesd.attaching.attachment import detach
from probe.moesd.model import MoESD
from probe.moesd.token import TOKEN, SpecialToken
from probe.moesd.unet.experts import UNetExperts
from probe.text.encoder import TextEncoder

PICTURE = Image.new("RGB", (16, 16), (90, 120, 150))
MASK = Image.new("L", (16, 16), 255)
GIVEN = {
    "text": {},
    "img2img": {"image": [PICTURE] * 2, "strength": 1.0},
    "inpaint": {"image": [PICTURE] * 2, "mask_image": [MASK] * 2, "strength": 1.0},
    "controlnet": {"image": [PICTURE] * 2},
    "xl": {},
}


@dataclass(frozen=True)
class Bench:
    """A pipeline, a correction for it, and a prompt of each kind."""

    pipeline: object
    moesd: MoESD
    prompts: list[str]
    given: dict

    def draw(self, prompts=None, **options):
        prompts = self.prompts if prompts is None else prompts
        n = options.get("num_images_per_prompt", 1)
        words = {} if "prompt_embeds" in options else {"prompt": prompts}
        images = self.pipeline(
            **words,
            **(self.given | options),
            num_inference_steps=2,
            generator=[torch.Generator().manual_seed(i) for i in range(n * len(prompts))],
            output_type="np",
        ).images
        return np.asarray(images)


def with_experts(moesd, unet, encoder):
    """Experts on both sides that move what they meet, and a gate that opens for half of them."""
    random = torch.Generator().manual_seed(0)
    inner = UNetExperts.start(unet, width=4)
    outer = copy.deepcopy(moesd.experts)
    for experts in (inner, outer):
        for name, weight in experts.named_parameters():
            if ".up." in name:
                weight.data = 0.3 * torch.randn(weight.shape, generator=random)
        experts.requires_grad_(False)
    prompts = ["a photo of a nurse", "a photo of a cook", "a tree", "a photo of a mechanic"]
    sizes = np.abs(moesd.gate.skew(encoder.embed(prompts)))
    gate = replace(
        moesd.gate,
        routing="closed-form",
        neutral_below=float(np.median(sizes)),
        explicit_above=np.inf,
    )
    order = np.argsort(sizes)
    made = replace(moesd, encoder=encoder, gate=gate, experts=outer, unet_experts=inner)
    return made, [prompts[order[0]], prompts[order[-1]]]  # closed, open


def controlnet(unet):
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8))


def extra_large(pipeline):
    """A StableDiffusionXLPipeline with the parts of a small one."""
    config = copy.deepcopy(pipeline.text_encoder.config)
    config.projection_dim = 16
    unet = UNet2DConditionModel.from_config(
        pipeline.unet.config,
        cross_attention_dim=2 * config.hidden_size,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    return StableDiffusionXLPipeline(
        vae=pipeline.vae,
        text_encoder=CLIPTextModel(config),
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer=pipeline.tokenizer,
        tokenizer_2=pipeline.tokenizer,
        unet=unet,
        scheduler=pipeline.scheduler,
        add_watermarker=False,
    )


@pytest.fixture(scope="module")
def benches(town, moesd, pipeline_folder, tmp_path_factory):
    plain = load_pipeline(pipeline_folder)
    parts = plain.components
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        control = controlnet(plain.unet)
        for weight in control.controlnet_mid_block.parameters():
            torch.nn.init.normal_(weight)
        xl = extra_large(plain)
    folder = tmp_path_factory.mktemp("xl")
    xl.save_pretrained(folder)
    pipelines = {
        "text": plain,
        "img2img": StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False),
        "inpaint": StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False),
        "controlnet": StableDiffusionControlNetPipeline(
            **parts, controlnet=control, requires_safety_checker=False
        ),
        "xl": xl,
    }
    made = {}
    for name, pipeline in pipelines.items():
        pipeline.set_progress_bar_config(disable=True)
        encoder = TextEncoder.load(folder) if name == "xl" else town.encoder
        made[name] = Bench(
            pipeline, *with_experts(moesd, pipeline.unet, encoder), given=GIVEN[name]
        )
    return made


@pytest.fixture
def bench(benches):
    return benches["text"]


def change(one, other):
    return np.abs(one - other).max(axis=(1, 2, 3))


@pytest.mark.parametrize("kind", list(GIVEN))
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
    pictures = []
    for moesd in (
        bench.moesd,
        replace(bench.moesd, unet_experts=None),
        replace(bench.moesd, unet_experts=UNetExperts.start(bench.pipeline.unet, width=4)),
    ):
        with moesd.attach(bench.pipeline):
            pictures.append(bench.draw())
    assert change(pictures[0], pictures[1])[1] > 0
    np.testing.assert_array_equal(pictures[1], pictures[2])  # new experts are the identity


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


def test_a_scheduler_that_draws_noise_of_its_own_is_no_hindrance(bench):
    before = bench.pipeline.scheduler
    bench.pipeline.scheduler = DDPMScheduler.from_config(before.config)
    try:
        plain = bench.draw()
        with bench.moesd.attach(bench.pipeline):
            assert (change(bench.draw(), plain) > 0).tolist() == [False, True]
    finally:
        bench.pipeline.scheduler = before


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
    with pytest.raises(ValueError, match="not attached"):
        detach(bench.pipeline)
    attachment = bench.moesd.attach(bench.pipeline)
    with pytest.raises(ValueError, match="attached to this pipeline already"):
        bench.moesd.attach(bench.pipeline)
    attachment.detach()
    with pytest.raises(ValueError, match="nothing to detach"):
        attachment.detach()


@pytest.fixture
def other(pipeline_folder):
    """A pipeline of which a test may change parts."""
    return load_pipeline(pipeline_folder)


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
    with pytest.raises(ModelError, match=r"widths 16 but the U-Net has .* widths 24"):
        bench.moesd.attach(other)
    other.unet = None
    with pytest.raises(ModelError, match="has no U-Net"):
        bench.moesd.attach(other)
    other.text_encoder = None
    with pytest.raises(ModelError, match="no text_encoder"):
        bench.moesd.attach(other)


def test_a_vocabulary_that_has_the_token_already_is_refused(pipeline_folder):
    encoder = TextEncoder.load(pipeline_folder)
    encoder.tokenizer.add_tokens([TOKEN])
    with pytest.raises(ModelError, match=f"has the token {TOKEN} already"):
        SpecialToken.start(encoder, ())
