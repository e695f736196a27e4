"""Experts in the U-Net: trained, kept, and at work while pictures are made."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from probe.errors import ArtifactError, OptionError
from probe.images.generation import GenerationPlan, generate
from probe.images.plan import read_metadata
from probe.moesd.gate import CLASSES
from probe.moesd.model import MoESD
from probe.moesd.router import Router
from probe.text.lexicon import Lexicon


@pytest.fixture(scope="module")
def brief(on_both_sides):
    # words of random weights say nothing of persons
    return replace(on_both_sides, gate_reads="bias_score", false_alarm=1.0)


@pytest.fixture(scope="module")
def trained(town, pipeline, pictures, brief):
    return town.train(config=brief, examples=pictures, pipeline=pipeline)


def ups(module):
    return [w for name, w in module.named_parameters() if ".up." in name]


@pytest.fixture(scope="module")
def low_rank(town, pipeline, pictures, brief):
    """Low-rank experts on both sides, trained."""
    config = replace(brief, style="lora", n_experts=2)
    return town.train(config=config, examples=pictures, pipeline=pipeline)


def test_low_rank_experts_are_trained_saved_and_loaded(town, low_rank, provenance, tmp_path):
    for experts in (low_rank.experts, low_rank.unet_experts):
        assert any(bool((weight != 0).any()) for weight in ups(experts))
    low_rank.save(tmp_path, provenance)
    again, prompts = MoESD.load(tmp_path, town.encoder), town.prompts.prompts[:20]
    assert (again.experts.style, again.unet_experts.style) == ("lora", "lora")
    assert again.unet_experts.revision == low_rank.unet_experts.revision
    np.testing.assert_array_equal(again.embed(prompts), low_rank.embed(prompts))


@pytest.mark.parametrize("name", ["experts.safetensors", "unet_experts.safetensors"])
def test_a_file_of_the_other_style_is_refused(town, trained, low_rank, provenance, tmp_path, name):
    trained.save(tmp_path / "adapter", provenance)
    low_rank.save(tmp_path / "lora", provenance)
    shutil.copy(tmp_path / "lora" / name, tmp_path / "adapter" / name)
    told = rf"{name} holds experts of style 'lora' but .*config.json says 'adapter'"
    with pytest.raises(ArtifactError, match=told):
        MoESD.load(tmp_path / "adapter", town.encoder)


def test_routes_agree_with_the_gate(town, trained):
    prompts = town.prompts.prompts[::7]
    classes = trained.decide(prompts).classes
    expected = {CLASSES[1]: "toward-female", CLASSES[2]: "toward-male"}
    routes = trained.routes(prompts)
    assert routes == [expected.get(name, "") for name in classes]
    assert {"", "toward-female", "toward-male"} == set(routes)
    assert trained.routes([]) == []


@pytest.mark.parametrize("settings", [{"kind": "calibrated"}, {"strength": 0.5}])
def test_routers_that_would_ignore_experts_in_the_unet_are_refused(trained, settings):
    with pytest.raises(OptionError, match=r"experts in the U-Net.*train with --side"):
        replace(trained, router=Router(**settings))


def test_what_is_saved_is_loaded_again_and_an_earlier_file_goes(
    town, moesd, trained, provenance, tmp_path
):
    trained.save(tmp_path, provenance)
    again = MoESD.load(tmp_path, town.encoder)
    assert again.unet_experts.revision == trained.unet_experts.revision
    assert again.routes(town.prompts.prompts[:20]) == trained.routes(town.prompts.prompts[:20])
    moesd.save(tmp_path, provenance)
    assert not (tmp_path / "unet_experts.safetensors").exists()
    assert MoESD.load(tmp_path, town.encoder).unet_experts is None


def test_experts_that_are_missing_or_of_another_width_are_refused(
    town, trained, provenance, tmp_path
):
    trained.save(tmp_path, provenance)
    path = tmp_path / "unet_experts.safetensors"
    config = tmp_path / "config.json"
    width = trained.unet_experts.width
    text = config.read_text()
    assert f'"width": {width}' in text
    text = re.sub(r'"content": "\w+"', '"content": ""', text)
    config.write_text(text.replace(f'"width": {width}', f'"width": {width + 1}'))
    with pytest.raises(ArtifactError, match=f"does not fit .*width {width + 1}"):
        MoESD.load(tmp_path, town.encoder)
    config.write_text(text)
    path.unlink()
    with pytest.raises(ArtifactError, match="unet_experts"):
        MoESD.load(tmp_path, town.encoder)


def test_pictures_of_closed_prompts_are_the_base_models_and_those_of_open_ones_are_not(
    town, trained, pipeline, tmp_path
):
    table = GenerationPlan.build(Lexicon.load(), n_images=2, seed=0).table
    plan = GenerationPlan(table.iloc[:: len(table) // 12].reset_index(drop=True))

    def make(name, **options):
        return generate(pipeline, plan, tmp_path / name, guidance_scale=3.0, n_steps=2,
                        batch_size=4, revision="tiny", **options)  # fmt: skip

    make("base")
    made = make("moesd", intervention=trained.intervention(), reuse=tmp_path / "base")
    states_only = make("states", intervention=replace(trained, unet_experts=None).intervention())
    is_open = [bool(route) for route in trained.routes(made["prompt"].tolist())]
    assert 0 < sum(is_open) < len(plan)
    for other in (read_metadata(tmp_path / "base"), states_only):
        np.testing.assert_array_equal(made["key"] != other["key"], is_open)
    for name, opened in zip(made["file_name"], is_open, strict=True):
        base, corrected = (tmp_path / side / name for side in ("base", "moesd"))
        assert (base.read_bytes() == corrected.read_bytes()) != opened
