"""Every family of image models, on its true classes with small random weights."""

import inspect
import json
import re
import shutil
import string
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.profiler import profile

from probe.baselines import BASELINES
from probe.baselines.method import Material, Trial
from probe.errors import ModelError, OptionError
from probe.images.attributes import load_classifier
from probe.images.costs import plan_images
from probe.images.generation import GenerationPlan, generate
from probe.images.intervention import corrected as apply
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
from probe.images.models.model import FAMILIES
from probe.images.models.schedule import FlowSchedule
from probe.images.pipelines import generation_settings, load_pipeline
from probe.images.plan import COLUMNS, read_metadata
from probe.images.shapes import Shapes
from probe.io.artifacts import write_table
from probe.latent.erasure import bias_score
from probe.moesd.base_shares import base_shares
from probe.moesd.compatibility import image_model_of
from probe.moesd.examples import Examples
from probe.moesd.experts import Experts
from probe.moesd.gate import Gate, KindClassifier, count_features
from probe.moesd.model import MoESD
from probe.moesd.objectives.diffusion import NoiseObjective
from probe.moesd.objectives.shown import ShownValues, Teacher
from probe.moesd.router import Router
from probe.moesd.token import SpecialToken
from probe.moesd.unet_experts import RoutedUNet, UNetExperts
from probe.run import Experiment, encoder_choice, pipeline
from probe.run.compare.material import Bench
from probe.run.compare.methods import all_methods
from probe.run.compare.stage import CompareMethods
from probe.run.config import Config
from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.stages.fit import fit_axis, subject_scores
from probe.run.studies.encoders import Encoders
from probe.text.checkpoints import resolve_model, text_encoders
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

WIDTH = 32
SEEDS = [3, 2**32 - 1]
STEPS = 2
DTYPES = ("float32", "bfloat16")


def slow(*cases):
    """Mark cases of a test of which the default run has others."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in cases
    ]


@pytest.fixture(scope="module")
def words(pipeline_folder):
    """CLIP's tokenizer, and one of characters for the others."""
    clip = transformers.CLIPTokenizer.from_pretrained(pipeline_folder / "tokenizer")
    vocab = ["<pad>", "</s>", "<unk>", "▁", *string.printable]
    pieces = [(piece, 0.0 if number < 3 else -2.0) for number, piece in enumerate(vocab)]
    return clip, transformers.T5Tokenizer(vocab=pieces, model_max_length=512)


def clip(words, **options):
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=16,
        # As in the folders of diffusers, which are not the tokenizer's.
        **{"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
    )
    kind = "CLIPTextModelWithProjection" if options.get("projects") else "CLIPTextModel"
    return getattr(transformers, kind)(config)


def t5(words, width=WIDTH):
    config = transformers.T5Config(
        vocab_size=len(words), d_model=width, d_kv=8, d_ff=32, num_heads=4, num_layers=2
    )
    return transformers.T5EncoderModel(config)


def vae(**options):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
        **options,
    )


def two_clips(words, *, first_projects):
    return {
        "text_encoder": clip(words[0], projects=first_projects),
        "text_encoder_2": clip(words[0], projects=True),
        "tokenizer": words[0],
        "tokenizer_2": words[0],
    }


def extra_large(words, plain):
    unet = diffusers.UNet2DConditionModel.from_config(
        plain.unet.config,
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    return diffusers.StableDiffusionXLPipeline(
        **two_clips(words, first_projects=False),
        vae=vae(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 1.5, 0.5]),
        unet=unet,
        scheduler=plain.scheduler,
    )


def third(words, *, has_t5, n_channels=4):
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=n_channels,
        out_channels=n_channels,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * 16,
    )
    return diffusers.StableDiffusion3Pipeline(
        **two_clips(words, first_projects=True),
        text_encoder_3=t5(words[1], 2 * WIDTH) if has_t5 else None,
        tokenizer_3=words[1] if has_t5 else None,
        vae=vae(shift_factor=0.05, latent_channels=n_channels),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def flux(words, *, is_dev):
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=is_dev,
    )
    return diffusers.FluxPipeline(
        text_encoder=clip(words[0]),
        tokenizer=words[0],
        text_encoder_2=t5(words[1]),
        tokenizer_2=words[1],
        vae=vae(shift_factor=0.1159),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def pixart(words, kind):
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        num_attention_heads=4,
        attention_head_dim=8,
        in_channels=4,
        cross_attention_dim=32,
        caption_channels=WIDTH,
    )
    return getattr(diffusers, kind)(
        text_encoder=t5(words[1]),
        tokenizer=words[1],
        vae=vae(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(clip_sample=False),
    )


def sana(words, *, is_sprint=False):
    call = inspect.signature(diffusers.SanaPipeline.__call__).parameters
    said = " ".join(call["complex_human_instruction"].default).split()
    rows = words[1].get_vocab()  # in another order in each process
    pieces = dict.fromkeys([*sorted(rows, key=rows.__getitem__), *(f"▁{word}" for word in said)])
    vocab = [(piece, 0.0 if row < 3 else -2.0) for row, piece in enumerate(pieces)]
    letters = Tokenizer(models.Unigram(vocab, unk_id=2))
    letters.pre_tokenizer = pre_tokenizers.Metaspace()
    letters.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", unk_token="<unk>", bos_token="</s>"
    )
    config = transformers.Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    layers = {"block_out_channels": (8, 8), "layers_per_block": (1, 1)}
    layers |= {"block_types": ("ResBlock", "EfficientViTBlock"), "qkv_multiscales": ((), (5,))}
    scheduler = "SCMScheduler" if is_sprint else "FlowMatchEulerDiscreteScheduler"
    return getattr(diffusers, f"Sana{'Sprint' * is_sprint}Pipeline")(
        text_encoder=transformers.Gemma2Model(config),
        tokenizer=tokenizer,
        vae=diffusers.AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            **{f"{side}_{n}": of for side in ("encoder", "decoder") for n, of in layers.items()},
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.4,
        ),
        transformer=diffusers.SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=WIDTH,
            sample_size=16,
            guidance_embeds=is_sprint,
            qk_norm="rms_norm_across_heads" if is_sprint else None,
        ),
        scheduler=getattr(diffusers, scheduler)(**({} if is_sprint else {"shift": 3.0})),
    )


BUILDERS = {
    "sd": lambda words, plain: plain,
    "sdxl": extra_large,
    "sd3": lambda words, plain: third(words, has_t5=True),
    "sd3-no-t5": lambda words, plain: third(words, has_t5=False),
    "flux-dev": lambda words, plain: flux(words, is_dev=True),
    "flux-schnell": lambda words, plain: flux(words, is_dev=False),
    "pixart-alpha": lambda words, plain: pixart(words, "PixArtAlphaPipeline"),
    "pixart-sigma": lambda words, plain: pixart(words, "PixArtSigmaPipeline"),
    "sana": lambda words, plain: sana(words),
}
OTHERS = {
    # The only number of channels of which diffusers inpaints.
    "sd3-16": lambda words, plain: third(words, has_t5=False, n_channels=16),
    "sana-sprint": lambda words, plain: sana(words, is_sprint=True),
}
"""Checkpoints of variants that the others cannot open."""


@pytest.fixture(scope="module")
def folder_of(words, pipeline_folder, tmp_path_factory):
    """The folder of a family, saved by diffusers."""
    made = {"sd": pipeline_folder}

    def folder_of(name):
        if name not in made:
            with torch.random.fork_rng(devices=[]):
                # Weights by which prompts lean to both genders, as the gate's training needs.
                torch.manual_seed({"sdxl": 0, "sana": 2, "sana-sprint": 2}.get(name, 3))
                pipeline = (BUILDERS | OTHERS)[name](words, load_pipeline(pipeline_folder))
            made[name] = tmp_path_factory.mktemp("families") / name
            pipeline.save_pretrained(made[name])
        return made[name]

    return folder_of


@pytest.mark.parametrize("guidance_scale", [3.0, 1.0])
@pytest.mark.parametrize("name", BUILDERS)
@torch.no_grad()
def test_images_are_those_of_the_pipeline_for_the_same_seeds(folder_of, name, guidance_scale):
    pipeline = load_pipeline(folder_of(name))
    how = {"guidance_scale": guidance_scale, "num_inference_steps": STEPS}
    model = image_model(pipeline)
    plain = pipeline(
        prompt="a photo of a nurse",
        num_images_per_prompt=2,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        **{**how, **model.calling},
    ).images
    said, empty = model.encode(["a photo of a nurse", ""])
    latents = model.denoise(
        said.expand(2),
        empty if model.is_guided(guidance_scale) else None,
        SEEDS,
        guidance_scale=guidance_scale,
        n_steps=STEPS,
    )
    ours = model.decode(latents)
    assert ours[0].size == ((32, 32) if name == "sana" else (16, 16))
    assert not np.array_equal(ours[0], ours[1])
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_is_used_as_its_pipeline_recommends(folder_of):
    found = {name: generation_settings(folder_of(name)) for name in ("sdxl", "flux-schnell")}
    assert (found["sdxl"].guidance_scale, found["sdxl"].n_steps) == (5.0, 50)
    assert (found["flux-schnell"].guidance_scale, found["flux-schnell"].n_steps) == (0.0, 4)


STATES, POOLED, MASK = "prompt_embeds", "pooled_prompt_embeds", "prompt_attention_mask"
GIVEN = [
    ("sd", "text_encoder", {STATES}),
    ("sdxl", "text_encoder", {STATES}),
    ("sdxl", "text_encoder_2", {STATES, POOLED}),
    ("sd3", "text_encoder", {STATES, POOLED}),
    ("sd3", "text_encoder_3", {STATES}),
    ("flux-dev", "text_encoder", {POOLED}),
    ("flux-schnell", "text_encoder_2", {STATES}),
    ("pixart-sigma", "text_encoder", {STATES, MASK}),
    ("sana", "text_encoder", {STATES, MASK}),
]
"""A family, a text encoder, and what of the conditions comes from it."""


@pytest.mark.parametrize(("name", "slot", "given"), GIVEN)
@torch.no_grad()
def test_what_a_text_encoder_gives_has_its_place(folder_of, name, slot, given):
    model = image_model(load_pipeline(folder_of(name)))
    encoder = TextEncoder.load(folder_of(name), encoder=slot)
    prompts, place = ["a photo of a nurse", "a cook"], model.place(slot)
    assert given == {place.states, POOLED if place.pooled else "", place.mask} - {""}
    found = Conditions.stack(model.encode(prompts))
    ids, states = encoder.tokenize(prompts), encoder.states(prompts)
    token = SpecialToken.start(encoder, ("nurse", "cook"))
    other = replace(token, vector=token.vector + 1)
    changed = token.encode(encoder, prompts) != other.encode(encoder, prompts)
    assert changed.flatten(1).any(dim=1).all()
    close = {"rtol": 1e-5, "atol": 1e-5}
    if place.states:
        torch.testing.assert_close(place.read(found), states, **close)
    if place.pooled:
        pooled = found.tensors[POOLED][:, place.pooled]
        torch.testing.assert_close(encoder.project(states, ids), pooled, **close)
    if place.mask:
        assert torch.equal(encoder.prompt_mask(ids).to(found.tensors[MASK]), found.tensors[MASK])


@torch.no_grad()
def test_after_an_instruction_the_token_stands_before_the_subject(folder_of):
    encoder = TextEncoder.load(folder_of("sana"))
    token = SpecialToken.start(encoder, ("nurse",))
    ids, places = token.input_ids(encoder, ["a photo of a nurse"])
    around = [
        encoder.tokenizer.decode(of) for of in (ids[0, 1 : places[0]], ids[0, places[0] + 1 :])
    ]
    assert [re.sub("<pad>| ", "", of) for of in around] == ["▁a▁photo▁of▁a", "▁nurse"]
    # As the embedding of the placeholder, the token changes nothing: not the instruction either.
    idle = replace(token, vector=encoder.model.get_input_embeddings()(ids[0, :1])[0])
    assert torch.equal(idle.states(encoder, ids, places), encoder.forward_ids(ids))
    assert not torch.equal(token.states(encoder, ids, places), encoder.forward_ids(ids))


ALL = [("sdxl", "all", {STATES, POOLED}), ("sd3", "all", {STATES, POOLED})]
ALL += [("flux-dev", "all", {STATES, POOLED})]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "slot", "given"), GIVEN[2:] + ALL)
def test_a_family_runs_from_its_prompts_to_a_report(
    folder_of, model_folder, small_lexicon, drawing, tmp_path, name, slot, given
):
    folder, run = folder_of(name), tmp_path / "run"
    is_all, slot = slot == "all", "text_encoder" if slot == "all" else slot
    experiment = Experiment.create(run, model=str(folder), lexicon=small_lexicon, encoder=slot)
    experiment.set("train", encoders="all" if is_all else "one")
    # Words of random weights say nothing of persons: the gate would open for nothing.
    experiment.set(
        "train", latent_steps=2, false_alarm=1.0, gate_reads="bias_score", neutral_band=0.0
    )
    experiment.set("generate", n_images=1, n_steps=2)
    evaluators = {of: str(model_folder / of) for of in ("classifier", "clip")}
    experiment.set("evaluate", n_bootstrap=20, **evaluators)
    experiment.run(*drawing)
    base, moesd = (read_metadata(run / "images" / side) for side in ("base", "moesd"))
    assert (run / "report.html").is_file()
    changed = base[base["key"] != moesd["key"]]
    assert "neutral" in set(changed["kind"])
    # Exactly what comes from the encoder is corrected.
    row, model = changed.iloc[0], image_model(load_pipeline(folder))
    method = MoESD.load(run / "moesd", TextEncoder.load(folder, encoder=slot)).intervention()
    conditions = method.conditions([row["prompt"]], [row["seed"]])
    [before] = model.encode([row["prompt"]])
    after = apply(model, method, conditions, before)
    names = before.tensors
    assert {of for of in names if not torch.equal(names[of], after.tensors[of])} == given
    slots = text_encoders(folder) if is_all else [slot]
    if STATES in given:
        places = [place for of in slots if (place := model.place(of)).states]
        kept = after.tensors[STATES] == before.tensors[STATES]
        changed = sum(place.read(before).numel() for place in places)
        assert int(kept.sum()) >= kept.numel() - changed
        assert all(not torch.equal(of.read(before), of.read(after)) for of in places)
    if is_all:  # a row of `compare methods` for each encoder alone
        bench = Bench(Run(run, Config.read(run)), 2)
        for of in slots:
            one = all_methods()[f"moesd-{of}"].build(bench).intervention
            alone, place = apply(model, one, conditions, before), model.place(of)
            kept = before.with_rows([0], alone)
            if place.states:
                assert torch.equal(place.read(alone), place.read(after))
                kept = place.write(kept, place.read(before))
            if place.pooled:
                kept.tensors[POOLED][:, place.pooled] = before.tensors[POOLED][:, place.pooled]
            assert all(torch.equal(it, before.tensors[name]) for name, it in kept.tensors.items())
            assert getattr(bench.pipeline, of) in [it.model for it in bench.correction.encoders]
    # A pipeline with the correction attached makes the same image.
    [image] = attached(MoESD.load(run / "moesd"), model, row)
    file = Image.open(run / "images" / "moesd" / row["file_name"])
    np.testing.assert_allclose(np.asarray(image, float), np.asarray(file, float), atol=1.01)


def attached(moesd, model, row):
    with moesd.attach(model.pipeline) as pipeline:
        return pipeline(
            row["prompt"],
            generator=torch.Generator().manual_seed(int(row["seed"])),
            guidance_scale=generation_settings(Path(pipeline.name_or_path)).guidance_scale,
            num_inference_steps=STEPS,
            **model.calling,
        ).images


@pytest.mark.parametrize("name", BUILDERS)
@torch.no_grad()
def test_one_prediction_is_that_of_the_pipeline(folder_of, name):
    model = image_model(load_pipeline(folder_of(name)))
    asked = []
    hook = model.network.register_forward_hook(
        lambda module, args, kwargs, output: asked.append((args, kwargs, output[0])),
        with_kwargs=True,
    )
    guidance_scale = 3.5 if name.startswith("flux") else 1.0
    said = model.conditions(["a photo of a nurse"])
    model.denoise(said, None, SEEDS[:1], guidance_scale=guidance_scale, n_steps=STEPS)
    hook.remove()
    args, kwargs, expected = asked[0]
    latents = args[0] if args else kwargs["hidden_states"]
    time = args[1] if len(args) > 1 else kwargs["timestep"]
    if name.startswith("flux"):
        latents, expected, time = model._unpacked(latents), model._unpacked(expected), 1000 * time
        if name == "flux-dev":  # whose pipeline embeds the guidance scale
            model.network.register_forward_pre_hook(
                lambda module, args, kwargs: (args, kwargs | {"guidance": torch.tensor([3.5])}),
                with_kwargs=True,
            )
    expected = expected[:, : latents.shape[1]]
    assert torch.equal(model.predict(latents, time.reshape(1), said), expected)


@pytest.mark.parametrize("name", BUILDERS)
@torch.no_grad()
def test_noise_leads_from_the_image_to_noise_and_the_target_back(folder_of, name):
    model = image_model(load_pipeline(folder_of(name)))
    pixels = torch.rand(2, 3, *(32 if name == "sana" else 16 for _ in "hw")) * 2 - 1
    clean = model.encode_images(pixels)
    assert clean.shape[1:] == model.latent_shape
    torch.testing.assert_close(model._unscaled(model._scaled(model_input(model, clean))), clean)
    noise, schedule = torch.randn_like(clean), model.schedule
    last = torch.full((2,), schedule.last)
    noised, target = (of(clean, noise, last) for of in (schedule.add_noise, schedule.target))
    is_flow = isinstance(schedule, FlowSchedule)
    assert torch.equal(target, noise - clean if is_flow else noise)
    torch.testing.assert_close(noised, noise, atol=0 if is_flow else 0.3, rtol=0)


def model_input(model, latents):
    """Latents as the pipeline returns them: those of FLUX.1 in patches."""
    pack = getattr(model.pipeline, "_pack_latents", None)
    return latents if pack is None else pack(latents, *latents.shape)


def untrained(folder, objective="noise", **options):
    """A correction whose gate opens for every prompt."""
    encoder = TextEncoder.load(folder)
    n_read = count_features("bias_score", has_list=False, n_features=encoder.n_features, n_layers=2)
    person = KindClassifier(np.zeros((3, n_read)), np.array([0.0, 9.0, 0.0]), temperature=1.0)
    gate = Gate(np.full(encoder.n_features, 0.1), 9.0, 0.0, 99.0, person, reads="bias_score")
    token = SpecialToken.start(encoder, ("nurse", "cook"))
    experts = Experts(encoder.n_features, width=4)
    return MoESD(encoder, token, experts, gate, objective=objective, **options)


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux-dev", "pixart-alpha", "sana"])
def test_experts_in_the_denoiser_learn_from_images(folder_of, tmp_path, name):
    pipeline = load_pipeline(folder_of(name))
    model = image_model(pipeline)
    experts = UNetExperts.start(model.network, width=2)
    moesd = untrained(folder_of(name), unet_experts=experts)
    rows = [(f"{of}.png", f"a photo of a {of}", of, "") for of in ("cook", "nurse")]
    for file, *_ in rows:
        Image.new("RGB", (16, 16), "red").save(tmp_path / file)
    table = pd.DataFrame(rows, columns=["file_name", "prompt", "subject", "value"])
    with NoiseObjective(moesd, Examples(table, tmp_path), pipeline, batch_size=4, seed=0) as of:
        optimizer = torch.optim.SGD(of.parameters, lr=1.0)
        for _ in range(2):  # the bottlenecks start at zero
            optimizer.zero_grad()
            of.loss().backward()
            optimizer.step()
    weights = moesd.weights()
    still = {of for of, weight in weights.items() if weight.grad is None or not weight.grad.any()}
    # Only experts of the value that no prompt here lacks are not trained.
    assert len({of.split(".")[2] for of in still}) <= 1
    assert all(".toward-" in of for of in still)
    # Images without a route are those of the pipeline, bit for bit.
    said = model.conditions(["a cook", "a nurse"])
    latents, times = torch.randn(2, *model.latent_shape), torch.tensor([500, 500])
    with torch.no_grad(), RoutedUNet(model.network, experts) as routed:
        plain = model.predict(latents, times, said)
        routed.set_routes(["", experts.names[0]])
        one, other = model.predict(latents, times, said)
    assert torch.equal(one, plain[0])
    assert not torch.equal(other, plain[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "flux-dev", "pixart-alpha", "sana"])
def test_a_classifier_teaches_experts_of_every_text_encoder(folder_of, name):
    folder, classifier = folder_of(name), load_classifier(resolve_model("tinytown") / "classifier")
    moesd = untrained(folder, objective="counterfactual", router=Router("bernoulli"))
    slots = text_encoders(folder)[1:]
    others = [TextEncoder.load(folder, encoder=slot) for slot in slots]
    moesd = replace(moesd, others=tuple(map(moesd.start_on, others)))
    pipeline = load_pipeline(folder, encoders=moesd.encoders)
    subjects = ["nurse", "baker"]
    prompts = [f"a photo of a {subject}" for subject in subjects]
    teacher = Teacher(classifier, [("gender", ["woman", "man"])], "subject", 3.0, kept=["age"])
    of = ShownValues(moesd, prompts, subjects, pipeline, teacher, batch_size=4, seed=0)
    optimizer = torch.optim.SGD(of.parameters, lr=1.0)
    for _ in range(2):  # the bottlenecks start at zero
        optimizer.zero_grad()
        loss = of.loss()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    for part in moesd.parts:
        assert all(weight.grad.any() for weight in part.experts.parameters()), part.encoder.slot


@pytest.mark.parametrize("name", ["sd", "sd3"])
def test_clean_latents_and_noise_are_found_again_in_a_target(folder_of, name):
    schedule = image_model(load_pipeline(folder_of(name))).schedule
    clean, noise = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64)
    times = torch.tensor([1, schedule.n_times // 2, schedule.last])
    noised, target = (of(clean, noise, times) for of in (schedule.add_noise, schedule.target))
    for found, true in zip(schedule.parts_of(noised, target, times), (clean, noise), strict=True):
        torch.testing.assert_close(found, true, atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated")  # by diffusers' own ControlNet
@pytest.mark.parametrize(
    ("name", "kind", "variant"),
    [
        ("sdxl", "StableDiffusionXL", "Inpaint"),
        ("sd3", "StableDiffusion3", "Img2Img"),
        ("pixart-sigma", "PixArtSigma", ""),
        ("sana", "Sana", ""),
        *slow(*(("sdxl", "StableDiffusionXL", of) for of in ("Img2Img", "ControlNet"))),
        *slow(("sd3", "StableDiffusion3", "ControlNet"), ("pixart-alpha", "PixArtAlpha", "")),
        *slow(*(("sd3-16", "StableDiffusion3", of) for of in ("Inpaint", "ControlNetInpainting"))),
        *slow(("sana", "Sana", "ControlNet")),
        *slow(*(("sana-sprint", "SanaSprint", of) for of in ("", "Img2Img"))),
        *slow(*(("flux-dev", "Flux", of) for of in ("Img2Img", "Inpaint", "ControlNet"))),
    ],
)
def test_variants_of_a_pipeline_are_corrected_and_restored(folder_of, name, kind, variant):
    plain, picture = load_pipeline(folder_of(name)), Image.new("RGB", (16, 16), "red")
    size = 32 if kind.startswith("Sana") else 16
    how = {"prompt": "a nurse", "num_inference_steps": STEPS, "height": size, "width": size}
    with_image, more = {"image": picture, "strength": 0.9}, {}
    mask = Image.new("L", (16, 16), 255)
    if variant.startswith("ControlNet"):
        of_mask = {"extra_conditioning_channels": 1} if variant.endswith("ing") else {}
        more = {"controlnet": controlnet(image_model_of(plain).network, **of_mask)}
        with_image = {"image" if name == "sdxl" else "control_image": picture}
        if variant == "ControlNetInpainting":
            with_image["control_mask"] = mask
    elif variant == "Inpaint":
        with_image["mask_image"] = mask
    elif variant == "":
        with_image = {}
    if name.startswith(("pixart", "sana")):
        with_image["use_resolution_binning"] = False
    if (name, variant) == ("sdxl", "Img2Img"):
        how = {of: it for of, it in how.items() if of not in ("height", "width")}
    pipeline = getattr(diffusers, f"{kind}{variant}Pipeline").from_pipe(plain, **more)
    pipeline.set_progress_bar_config(disable=True)

    def make():
        generator = torch.Generator().manual_seed(1)
        return np.asarray(pipeline(generator=generator, **how, **with_image).images[0])

    before, network = make(), image_model_of(plain).network
    for unet_experts in (None, UNetExperts.start(network, width=2)):
        moesd = untrained(folder_of(name), unet_experts=unet_experts)
        changed = moesd.experts if unet_experts is None else unet_experts
        for weight in changed.parameters():
            torch.nn.init.normal_(weight, std=0.5)
        with moesd.attach(pipeline):
            assert not np.array_equal(make(), before)
        assert np.array_equal(make(), before)


@torch.no_grad()
def test_a_negative_prompt_that_flux_encodes_on_its_own_is_left_alone(folder_of):
    pipeline = load_pipeline(folder_of("flux-dev"))
    experts = UNetExperts.start(pipeline.transformer, width=2)
    moesd = untrained(folder_of("flux-dev"))
    for weight in moesd.experts.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    given, transform = [], pipeline.transformer.forward

    def forward(*args, **kwargs):
        given.append(kwargs["pooled_projections"])
        return transform(*args, **kwargs)

    pipeline.transformer.forward = forward
    how = {"negative_prompt": "a cook", "true_cfg_scale": 2.0, "num_inference_steps": 1}
    how |= {"height": 16, "width": 16}
    pipeline("a nurse", **how)
    with moesd.attach(pipeline):
        pipeline("a nurse", **how)
    (said, negative), (corrected, untouched) = given[:2], given[2:]
    assert torch.equal(untouched, negative)
    assert not torch.equal(corrected, said)
    with (
        replace(moesd, unet_experts=experts).attach(pipeline),
        pytest.raises(ModelError, match="true_cfg_scale"),
    ):
        pipeline("a nurse", **how)


def test_experts_in_the_denoiser_are_refused_where_attention_is_perturbed(folder_of):
    plain = load_pipeline(folder_of("sd"))
    pipeline = diffusers.StableDiffusionPAGPipeline.from_pipe(plain)
    pipeline.set_progress_bar_config(disable=True)

    def make():
        seed = torch.Generator().manual_seed(1)
        return np.asarray(pipeline("a nurse", generator=seed, num_inference_steps=STEPS).images[0])

    moesd, before = untrained(folder_of("sd")), make()
    for weight in moesd.experts.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    with moesd.attach(pipeline):
        assert not np.array_equal(make(), before)
    moesd = untrained(folder_of("sd"), unet_experts=UNetExperts.start(plain.unet, width=2))
    with pytest.raises(ModelError, match=r"StableDiffusionPAGPipeline .* side 'text'"):
        moesd.attach(pipeline)


def controlnet(network, **options):
    kind = type(network).__name__.removesuffix("Transformer2DModel")
    if kind == "UNet2DConditionModel":
        return diffusers.ControlNetModel.from_unet(
            network, conditioning_embedding_out_channels=(4, 8)
        )
    return getattr(diffusers, f"{kind}ControlNetModel").from_config(network.config, **options)


@pytest.mark.parametrize(
    "name", ["sdxl", "sd3-no-t5", *slow("flux-schnell", "pixart-sigma", "sana")]
)
@torch.no_grad()
def test_the_denoiser_of_a_family_is_asked_for_shares(folder_of, name):
    model = image_model(load_pipeline(folder_of(name)))
    router = Router("calibrated", min_explained=0)
    moesd = untrained(folder_of(name), "counterfactual", router=router)
    for weight in moesd.experts.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    prompt = "a photo of a nurse"
    [shares] = base_shares(moesd, model, [prompt], guidance_scale=1.0)
    np.testing.assert_allclose(shares.sum(), 1.0)
    seeds = list(range(8))
    method = moesd.intervention(model, guidance_scale=1.0)
    conditions = method.conditions([prompt] * len(seeds), seeds)
    given = model.conditions([prompt]).expand(len(seeds))
    after = apply(model, method, conditions, given)
    changed = {of.prompt for of in conditions if of.route}
    assert changed == {prompt}
    assert not all(torch.equal(of, given.tensors[at]) for at, of in after.tensors.items())


def edited(folder, path, **index):
    """Copy a pipeline's folder, with other entries in its index."""
    shutil.copytree(folder, path)
    entries = json.loads((path / "model_index.json").read_text()) | index
    (path / "model_index.json").write_text(json.dumps(entries))
    return path


def test_parts_of_mixed_precision_are_opened_in_one(folder_of, tmp_path):
    folder = edited(folder_of("flux-dev"), tmp_path / "mixed")
    half = transformers.T5EncoderModel.from_pretrained(folder / "text_encoder_2").half()
    half.save_pretrained(folder / "text_encoder_2")
    file = folder / "text_encoder" / "model.safetensors"  # of which one part is half, too
    weights = load_file(file)
    mixed = {name: weight.half() for name, weight in weights.items() if "mlp" in name}
    save_file(weights | mixed, file, metadata={"format": "pt"})
    pipeline = load_pipeline(folder)
    parts = [of for of in pipeline.components.values() if isinstance(of, torch.nn.Module)]
    parts += [TextEncoder.load(folder, encoder=of).model for of in text_encoders(folder)]
    assert {weight.dtype for of in parts for weight in of.parameters()} == {torch.float32}


def test_an_index_that_does_not_name_the_t5_of_stable_diffusion_3_is_one_without(
    folder_of, tmp_path
):
    folder = edited(folder_of("sd3-no-t5"), tmp_path / "sd3")
    index = json.loads((folder / "model_index.json").read_text())
    for name in ("text_encoder_3", "tokenizer_3"):
        del index[name]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert load_pipeline(folder).text_encoder_3 is None


def test_a_text_encoder_that_is_named_but_not_there_is_refused_in_one_line(folder_of, tmp_path):
    folder = edited(folder_of("sd3"), tmp_path / "sd3")
    for name in ("tokenizer_3", "text_encoder_3"):
        shutil.rmtree(folder / name)
        with pytest.raises(
            ModelError, match=f"{name} is not there, .*; fetch it, or choose another"
        ) as caught:
            TextEncoder.load(folder, encoder="text_encoder_3")
        assert "\n" not in str(caught.value)


def test_what_cannot_be_opened_is_refused_in_one_line(folder_of, tmp_path):
    no_t5 = edited(folder_of("sd3"), tmp_path / "no-t5")
    shutil.rmtree(no_t5 / "text_encoder_3")
    lacking = edited(folder_of("pixart-sigma"), tmp_path / "shards")
    sharded = transformers.T5EncoderModel.from_pretrained(lacking / "text_encoder")
    shutil.rmtree(lacking / "text_encoder")
    sharded.save_pretrained(lacking / "text_encoder", max_shard_size="20KB")
    first, *_ = sorted((lacking / "text_encoder").glob("*.safetensors"))
    first.unlink()
    other = edited(folder_of("sd"), tmp_path / "other", _class_name="CrayonPipeline")
    for folder, said in (
        (no_t5, r"no text_encoder_3; .* with \[null, null\] in model_index.json for a part"),
        (lacking, rf"cannot be opened \(.*{first.name}"),
        (other, "holds a CrayonPipeline; needed a text-to-image pipeline of diffusers, such as Fl"),
        ("black-forest-labs/FLUX.1-dev", "not in the Hugging Face cache .* fetch it with `hf down"),
    ):
        with pytest.raises(ModelError, match=said) as caught:
            load_pipeline(folder)
        assert "\n" not in str(caught.value)


def make(model, folder):
    rows = [("neutral", "cook", f"a photo of a {of}", 7, f"{of}.png") for of in ("cook", "nurse")]
    plan = GenerationPlan(pd.DataFrame(rows, columns=list(COLUMNS)))
    generate(model, plan, folder, guidance_scale=3.0, n_steps=STEPS, revision="tiny")
    return [np.asarray(Image.open(folder / f"{of}.png")) for of in ("cook", "nurse")]


@pytest.mark.parametrize(
    "name", ["sdxl", *slow(*(of for of in BUILDERS if of not in {"sd", "sdxl"}))]
)
def test_a_family_computes_in_half_precision(folder_of, tmp_path, name):
    images = (make(load_pipeline(folder_of(name), dtype=of), tmp_path / of) for of in DTYPES)
    whole, half = (np.array(of, float) for of in images)
    assert 0 < np.abs(whole - half).mean() < 5  # of 255 levels


def peak(work):
    """Most bytes that exist at once while work is done, by torch's profiler."""
    now = most = 0
    with profile(profile_memory=True) as found:
        work()
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize("name", ["sdxl", *slow("sd", "sd3", "flux-dev", "pixart-sigma", "sana")])
@torch.no_grad()
def test_the_memory_of_an_image_is_estimated_from_the_configuration(folder_of, name):
    size = 96  # at which the denoiser's tensors are larger than those of the prompt
    plan = plan_images(Shapes.read(folder_of(name)), resolution=size)
    pipeline = load_pipeline(folder_of(name))
    networks = {of: it for of, it in pipeline.components.items() if isinstance(it, torch.nn.Module)}
    counts = {of: sum(w.numel() for w in it.parameters()) for of, it in networks.items()}
    assert plan.weights == counts
    model = image_model(pipeline)
    said, empty = model.encode(["a photo of a nurse", ""])
    how = dict(said.tensors) | model.calling | {"height": size, "width": size}
    if model.is_guided(plan.guidance_scale):
        how |= {f"negative_{of}": it for of, it in empty.tensors.items()}
    how |= {"guidance_scale": plan.guidance_scale, "num_inference_steps": STEPS}
    measured = peak(lambda: pipeline(negative_prompt=None, **how))
    # Of so small a model, what the pipeline and the kernels keep besides is up to a third.
    assert 0.6 < 1e9 * plan.gigabytes_per_image / measured < 1.05


def test_a_pipeline_of_another_family_is_called_with_each_prompt(folder_of, tmp_path, monkeypatch):
    plain = load_pipeline(folder_of("sd"))
    monkeypatch.delitem(FAMILIES._load(), "StableDiffusionPipeline")
    pipeline = load_pipeline(folder_of("sd"))
    assert type(image_model(pipeline)).__name__ == "Generic"
    cook, nurse = make(pipeline, tmp_path)
    generator = torch.Generator().manual_seed(7)
    how = {"guidance_scale": 3.0, "num_inference_steps": STEPS, "generator": generator}
    np.testing.assert_array_equal(nurse, plain("a photo of a nurse", **how).images[0])
    assert not np.array_equal(cook, nurse)


def test_a_model_that_is_only_called_is_audited_and_not_corrected(
    model_folder, small_lexicon, refusal, done, tmp_path, monkeypatch
):
    def web(prompts, seeds):
        return [Image.new("RGB", (16, 16), (seed % 256, seed // 256 % 256, 90)) for seed in seeds]

    monkeypatch.setitem(FAMILIES._load(), "Web", lambda folder, device: web)
    folder, run = tmp_path / "web", tmp_path / "run"
    folder.mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "Web"}')
    start = ["embed", run, "--model", folder, "--lexicon", small_lexicon]
    assert "has no text_encoder" in refusal(*start)
    Experiment.open(run).set("evaluate", classifier=str(model_folder / "classifier"))
    command = ["audit", run, "--sequential", 0.4, 0.6, "--side", "base", "--max-images", 2]
    assert "nurse" in done(*command, "--json")


@pytest.mark.slow
def test_the_encoder_whose_bias_score_predicts_the_images_is_named(folder_of, tmp_path):
    def start(name):
        Experiment.create(tmp_path / name, model=str(folder_of(name))).set("study", n_bootstrap=50)
        return Run(tmp_path / name, Config.read(tmp_path / name))

    run, study = start("sdxl"), Encoders()
    _, found = study.compute(run)
    assert found.data["best"] is None
    assert "not known without labelled images" in found.summary()
    planted = shares_like(run, folder_of("sdxl"), "text_encoder_2")
    table = run.prompts.table.drop_duplicates("subject")[["subject", "split", "share_women"]]
    subjects = table.merge(planted).assign(bias_score=0.0)
    write_table(run.folder / SUBJECTS, subjects, run.provenance("subjects", "planted"))
    seen = {"side": "base", "attribute": "gender", "value": "woman", "low": 0, "high": 1}
    shares = planted.assign(**seen, split=subjects["split"])
    write_table(run.folder / SHARES, shares, run.provenance("shares", "planted"))
    tables, found = study.compute(run)
    assert found.data["best"] == "text_encoder_2"
    assert "`--encoder text_encoder_2`" in found.summary()
    values = tables["encoders"].set_index(["encoder", "measure"])["value"]
    assert values["text_encoder_2", "r2"] > max(0.8, values["text_encoder", "r2"])
    assert study.unmet(run) is None


def shares_like(run, folder, slot):
    """Shares of women that follow the bias scores of one text encoder."""
    z = TextEncoder.load(folder, encoder=slot).embed(run.prompts.prompts)
    subjects = subject_scores(run.prompts.table.assign(bias_score=bias_score(z, *fit_axis(run, z))))
    scores = subjects["bias_score"]
    share = (1 / (1 + np.exp(6 * scores / scores.abs().max()))).round(2)
    return subjects[["subject"]].assign(n=100, share=share)


@pytest.mark.slow
def test_a_run_that_names_no_encoder_reads_the_one_that_predicts_the_images(
    folder_of, tmp_path, monkeypatch
):
    folder, told = folder_of("sdxl"), []
    experiment = Experiment.create(tmp_path, model=str(folder))
    run = Run(tmp_path, experiment.config)
    planted = shares_like(run, folder, "text_encoder_2")
    monkeypatch.setattr(encoder_choice, "_base_shares", lambda *_: planted)
    monkeypatch.setattr(pipeline, "check_stale", lambda _: None)
    monkeypatch.setattr(pipeline, "bring_all", lambda *_: [])  # the choice alone
    [outcome] = experiment.run(None, None, on_outcome=told.append)
    assert told == [outcome]
    assert "bias score of text_encoder_2 explains most" in outcome.line()
    assert Config.read(tmp_path).embed.encoder == "text_encoder_2"
    assert experiment.run(None, None) == []  # it is said now
    # All images alike: nothing can be predicted, and the first is read.
    monkeypatch.setattr(encoder_choice, "_base_shares", lambda *_: planted.assign(share=0.5))
    found = encoder_choice.choose_encoder(run)
    assert found.data == {"encoder": "text_encoder", "explained": {}}
    assert "the model's first; which predicts its images best is not known: " in found.text


@pytest.mark.parametrize(
    ("r2", "has_gate", "best"),
    [
        ((0.7, 0.9), (True, True), "text_encoder_2"),
        ((0.7, 0.9), (True, False), "text_encoder"),
        ((0.4, 0.9), (True, False), "text_encoder_2"),  # explains less than half as much
        ((0.7, 0.9), (False, False), "text_encoder_2"),
        ((-0.3, -0.1), (True, False), "text_encoder_2"),
    ],
)
def test_an_encoder_whose_gate_fails_gives_way_to_one_that_explains_nearly_as_much(
    r2, has_gate, best
):
    slots = ("text_encoder", "text_encoder_2")
    found = {slot: SimpleNamespace(r2=of) for slot, of in zip(slots, r2, strict=True)}
    gated = dict(zip(slots, has_gate, strict=True))
    assert encoder_choice.best_encoder(found, gated) == best
    assert encoder_choice.best_encoder({}, {}) is None


@pytest.mark.slow
def test_the_encoder_is_chosen_by_images_of_occupations_that_are_not_for_testing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(encoder_choice, "N_IMAGES", 4)
    made = []
    monkeypatch.setattr(
        encoder_choice,
        "make_images",
        lambda run, pipeline, plan, *of, **more: (
            made.append(plan) or make_images(run, pipeline, plan, *of, **more)
        ),
    )
    config = Experiment.create(tmp_path, model="tinytown-xl").config
    run = Run(tmp_path, config.with_settings("generate", {"n_steps": 8}))
    assert encoder_choice.has_choice(run)
    found = encoder_choice.choose_encoder(run)
    assert set(made[0].table["subject"]).isdisjoint(run.lexicon.occupations_of("test"))
    assert found.data["explained"].keys() == {"text_encoder", "text_encoder_2"}
    explained = found.data["explained"]
    assert max(of["r2"] for of in explained.values()) > 0.3
    # The second encoder's gate takes the validation object, a chair, for a person.
    assert [of["gate"] for of in explained.values()] == [True, False]
    assert not any((tmp_path / "images").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux-dev"])
@torch.no_grad()
def test_methods_on_states_edit_what_every_text_encoder_gives(folder_of, small_lexicon, name):
    slots = text_encoders(folder_of(name))
    encoder, *others = (TextEncoder.load(folder_of(name), encoder=slot) for slot in slots)
    pipeline = load_pipeline(folder_of(name), encoders=[encoder, *others])
    assert all(getattr(pipeline, of.slot) is of.model for of in (encoder, *others))
    lexicon = Lexicon.load(small_lexicon)
    prompts = PromptSet.build(lexicon)
    material = Material(
        encoder=encoder,
        others=others,
        pipeline=pipeline,
        lexicon=lexicon,
        prompts=prompts.take(prompts.is_training),
        examples=list,
        try_out=lambda method, subjects: Trial(
            tuple(subjects), np.full((len(subjects), 2), 0.5), 1.0
        ),
        validation=("cook",),
    )
    model, prompt = image_model(pipeline), "a photo of a nurse"
    before = model.conditions([prompt])
    for method in ("leace", "debias-vl", "steering", "fair-pca", "leace-lookup"):
        edit = BASELINES[method](material).intervention
        after = apply(model, edit, edit.conditions([prompt], [3]), before)
        for place in map(model.place, slots):
            if place.states:
                assert not torch.equal(place.read(after), place.read(before)), method
            if place.pooled:
                one, other = (of.tensors[POOLED][:, place.pooled] for of in (after, before))
                assert not torch.equal(one, other), method


def test_methods_that_a_family_does_not_have_are_refused_before_any_work(folder_of, tmp_path):
    Experiment.create(tmp_path, model=str(folder_of("sdxl"))).set("train", encoders="one")
    run = Run(tmp_path, Config.read(tmp_path))
    for name in ("uce", "lora", "fair-diffusion", "reweighting"):
        with pytest.raises(ModelError, match=f"{name} needs Stable Diffusion 1 or 2; .* leace"):
            CompareMethods([name]).make(run)
    with pytest.raises(OptionError, match="--encoders all` makes one"):
        CompareMethods(["moesd-text_encoder_2"]).make(run)


@pytest.mark.parametrize(("name", "encoders"), [("sdxl", "all"), ("pixart-sigma", "one")])
def test_a_new_run_corrects_all_text_encoders_of_its_model(folder_of, tmp_path, name, encoders):
    experiment = Experiment.create(tmp_path, model=str(folder_of(name)))
    assert experiment.config.train.encoders == encoders


@pytest.mark.slow
def test_recipes_that_correct_one_text_encoder_are_compared_in_a_run_that_corrects_all(
    folder_of, tmp_path, model_folder, small_lexicon
):
    experiment = Experiment.create(tmp_path, model=str(folder_of("sdxl")), lexicon=small_lexicon)
    experiment.set("evaluate", classifier=str(model_folder / "classifier"))
    experiment.embed()
    experiment.fit()
    run = Run(tmp_path, experiment.config)
    for method in ("moesd-noise", "moesd-paper", "moesd-paper-teacher"):
        assert all_methods()[method].made_from(run)


def test_all_text_encoders_of_a_model_with_one_are_refused(folder_of, small_lexicon, tmp_path):
    run, folder = tmp_path / "run", folder_of("pixart-sigma")
    experiment = Experiment.create(run, model=str(folder), lexicon=small_lexicon)
    experiment.embed()
    experiment.fit()
    with pytest.raises(ValueError, match=r"has one text encoder; set it to 'one'"):
        experiment.train(encoders="all")


def test_a_function_of_prompts_and_seeds_is_an_image_model(tmp_path):
    def web(prompts, seeds):
        pairs = zip(prompts, seeds, strict=True)
        return [Image.new("RGB", (8, 8), (len(of), seed, 0)) for of, seed in pairs]

    cook, nurse = make(web, tmp_path / "web")
    assert (cook[0, 0].tolist(), nurse[0, 0].tolist()) == ([17, 7, 0], [18, 7, 0])
    with pytest.raises(
        ModelError, match="lambda> returned 0 of nothing for 1 prompts; needed a PIL"
    ):
        image_model(lambda prompts, seeds: []).denoise(
            image_model(web).encode(["a"])[0], None, [1], guidance_scale=1.0, n_steps=1
        )
    with pytest.raises(ModelError, match="nothing can be corrected; audit them"):
        image_model(web).place("text_encoder")
