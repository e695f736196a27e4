"""Pipelines of every kind with random weights, and a correction for each."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from probe.images.pipelines import load_pipeline
from probe.moesd.model import MoESD
from probe.moesd.unet_experts import UNetExperts
from probe.text.encoder import TextEncoder

PICTURE = Image.new("RGB", (16, 16), (90, 120, 150))
MASK = Image.new("L", (16, 16), 255)
GIVEN = {
    "text": {},
    "img2img": {"image": [PICTURE] * 2, "strength": 1.0},
    "inpaint": {"image": [PICTURE] * 2, "mask_image": [MASK] * 2, "strength": 1.0},
    "controlnet": {"image": [PICTURE] * 2},
    "xl": {},
    "sd3": {},
}


@pytest.fixture(scope="session", params=list(GIVEN))
def kind(request):
    """Each kind of pipeline in turn."""
    return request.param


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
            **({"num_inference_steps": 2} | self.given | options),
            generator=[torch.Generator().manual_seed(i) for i in range(n * len(prompts))],
            output_type="np",
        ).images
        return np.asarray(images)


def with_experts(moesd, pipeline, encoder):
    """Experts wherever they fit that move what they meet, and a gate that opens for half."""
    random = torch.Generator().manual_seed(0)
    has_unet = hasattr(pipeline, "unet")
    inner = UNetExperts.start(pipeline.unet, width=4) if has_unet else None
    outer = copy.deepcopy(moesd.experts)
    for experts in filter(None, (inner, outer)):
        for name, weight in experts.named_parameters():
            if ".up." in name:
                weight.data = 0.3 * torch.randn(weight.shape, generator=random)
        experts.requires_grad_(False)
    prompts = ["a photo of a nurse", "a photo of a cook", "a tree", "a photo of a mechanic"]
    sizes = np.abs(moesd.gate.bias_score(encoder.embed(prompts)))
    gate = replace(
        moesd.gate,
        kind="closed-form",
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


def third(pipeline):
    """A StableDiffusion3Pipeline of two text encoders; the T5 is left out, as is common."""
    config = copy.deepcopy(pipeline.text_encoder.config)
    config.projection_dim = 16
    width = 2 * config.hidden_size
    vae = AutoencoderKL.from_config(pipeline.vae.config, shift_factor=0.05)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=width,
            caption_projection_dim=32,
            pooled_projection_dim=2 * 16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=CLIPTextModelWithProjection(config),
        tokenizer=pipeline.tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer_2=pipeline.tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


@pytest.fixture(scope="session")
def benches(town, moesd, pipeline_folder, tmp_path_factory):
    plain = load_pipeline(pipeline_folder)
    parts = plain.components
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        control = controlnet(plain.unet)
        for weight in control.controlnet_mid_block.parameters():
            torch.nn.init.normal_(weight)
        others = {"xl": extra_large(plain), "sd3": third(plain)}
    folders = {name: tmp_path_factory.mktemp(name) for name in others}
    for name, pipeline in others.items():
        pipeline.save_pretrained(folders[name])
    pipelines = {
        "text": plain,
        "img2img": StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False),
        "inpaint": StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False),
        "controlnet": StableDiffusionControlNetPipeline(
            **parts, controlnet=control, requires_safety_checker=False
        ),
        **others,
    }
    made = {}
    for name, pipeline in pipelines.items():
        pipeline.set_progress_bar_config(disable=True)
        encoder = TextEncoder.load(folders[name]) if name in others else town.encoder
        made[name] = Bench(pipeline, *with_experts(moesd, pipeline, encoder), given=GIVEN[name])
    return made


@pytest.fixture
def bench(benches):
    """The plain text-to-image pipeline."""
    return benches["text"]


@pytest.fixture
def other(pipeline_folder):
    """A pipeline of which a test may change parts."""
    return load_pipeline(pipeline_folder)
