"""Methods that change the denoiser: what they add or put in, and that they give it back."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.baselines import fair_diffusion
from probe.baselines.fair_diffusion import FairDiffusion, Guidance
from probe.baselines.method import Trial
from probe.baselines.weights import STEP, EditedWeights, _step, edit_projection, lora, uce
from probe.baselines.words import Lookup
from probe.images.intervention import Condition, Intervention
from probe.text.concepts import load_attributes

OPEN, SAID, THING = "a photo of a nurse", "a photo of a male nurse", "a photo of a car"


def weights_of(unet):
    return {name: of.detach().clone() for name, of in unet.named_parameters()}


def is_untouched(unet, before):
    return "forward" not in vars(unet) and all(
        torch.equal(of, before[name]) for name, of in unet.named_parameters()
    )


# Fair Diffusion


def reference(material, prompt, latents, edits, guidance, *, n_steps):
    """diffusers' own semantic guidance, with the settings of the paper's experiments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.pipelines.deprecated.semantic_stable_diffusion import (
            pipeline_semantic_stable_diffusion as module,
        )

        parts = {
            name: of for name, of in material.pipeline.components.items() if name != "image_encoder"
        }
        pipeline = module.SemanticStableDiffusionPipeline(**parts, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline(
            prompt,
            latents=latents,
            guidance_scale=3.0,
            num_inference_steps=n_steps,
            output_type="latent",
            editing_prompt=edits,
            reverse_editing_direction=[False, True],
            edit_warmup_steps=round(guidance.warmup * n_steps),
            edit_guidance_scale=guidance.scale,
            edit_threshold=guidance.threshold,
            edit_momentum_scale=guidance.momentum_scale,
            edit_mom_beta=guidance.momentum_beta,
        ).images.numpy()


@pytest.mark.slow
def test_the_guidance_is_that_of_diffusers_semantic_pipeline(material, denoise):
    method = fair_diffusion.build(material).intervention
    guidance = Guidance(warmup=0.3)
    method = FairDiffusion(Lookup(material.lexicon), method.edits, method.empty, guidance)
    [condition] = method.conditions([OPEN], [5])
    assert condition.route in ("female", "male")
    found = denoise(method, [OPEN], seeds=[5], n_steps=6)
    edits = ["female person", "male person"]
    edits = edits if condition.route == "female" else edits[::-1]
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    wanted = reference(material, OPEN, latents, edits, guidance, n_steps=6)
    plain = denoise(Intervention(), [OPEN], seeds=[5], n_steps=6)
    assert np.abs(plain - wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_an_image_is_guided_towards_a_value_of_each_attribute_and_away_from_its_others(material):
    attributes = load_attributes("gender,skin_tone")
    method = fair_diffusion.build(replace(material, attributes=attributes)).intervention
    assert [len(of) for of in method.edits] == [2, 4]
    assert method._weights("male and tan") == [-1, 1, *(-1 / 3, 1, -1 / 3, -1 / 3)]
    assert method._weights("") == [0] * 6
    routes = {of.route for of in method.conditions([OPEN] * 100, range(100))}
    assert len(routes) == 8


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_only_open_prompts_of_a_batch_are_guided(material, denoise, guidance_scale):
    method = fair_diffusion.build(material).intervention
    before = weights_of(material.pipeline.unet)
    made = denoise(method, [OPEN, SAID, THING], guidance_scale=guidance_scale)
    plain = denoise(Intervention(), [OPEN, SAID, THING], guidance_scale=guidance_scale)
    np.testing.assert_array_equal(made[1:], plain[1:])
    assert np.abs(made[0] - plain[0]).max() > 0.01
    assert is_untouched(material.pipeline.unet, before)


def test_a_batch_without_an_open_prompt_is_the_base_models(material, denoise):
    method = fair_diffusion.build(material).intervention
    assert [method.signature(of) for of in method.conditions([SAID, THING], [1, 2])] == ["", ""]
    np.testing.assert_array_equal(
        denoise(method, [SAID, THING]), denoise(Intervention(), [SAID, THING])
    )


def test_the_denoiser_is_given_back_when_a_batch_fails(material):
    method = fair_diffusion.build(material).intervention
    before = weights_of(material.pipeline.unet)
    with (
        pytest.raises(KeyboardInterrupt),
        method.denoising(material.pipeline, [Condition(OPEN, "male")]),
    ):
        raise KeyboardInterrupt
    assert is_untouched(material.pipeline.unet, before)


# Unified concept editing


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_values_that_are_the_old_ones_change_nothing(seed):
    weight, contexts = drawn(seed, 5, 7), drawn(seed + 1, 4, 7)
    edited = edit_projection(weight, contexts, contexts @ weight.T, drawn(seed + 2, 3, 7))
    torch.testing.assert_close(edited, weight, atol=1e-5, rtol=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_without_damping_contexts_go_exactly_where_they_should_and_kept_ones_stay(seed):
    weight, contexts, kept = drawn(seed, 5, 7), drawn(seed + 1, 3, 7), drawn(seed + 2, 4, 7)
    values = drawn(seed + 3, 3, 5)
    # seven conditions for seven features: all of them can hold at once
    edited = edit_projection(weight, contexts, values, kept, damping=1e-9, preserve=1.0)
    torch.testing.assert_close(contexts @ edited.T, values, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(kept @ edited.T, kept @ weight.T, atol=1e-3, rtol=1e-3)


def test_the_edit_minimises_what_the_paper_says_it_does():
    """Equation 7 as least squares: the gradient of the weighted squares is zero there."""
    weight, contexts, values, kept = drawn(1, 5, 7), drawn(2, 4, 7), drawn(3, 4, 5), drawn(4, 3, 7)
    edited = edit_projection(weight, contexts, values, kept).requires_grad_(True)
    loss = (
        (contexts @ edited.T - values).square().sum()
        + 0.1 * (kept @ (edited - weight).T).square().sum()
        + 0.5 * (edited - weight).square().sum()
    )
    loss.backward()
    assert edited.grad.abs().max() < 1e-4


def test_a_balanced_model_is_left_as_it_is(material):
    method = uce(material)
    assert method.chosen == {"n_rounds": 0}
    unet = material.pipeline.unet
    for name, edited in method.intervention._weights.items():
        assert name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
        torch.testing.assert_close(edited, unet.get_parameter(name).detach(), atol=1e-5, rtol=1e-4)


def test_the_round_that_is_fairest_on_validation_subjects_is_kept(material):
    """Every round is fairer on training subjects, but from the third on not on the others."""
    shares = iter([1.0, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.62, 0.61])
    others = iter([1.0, 0.7, 0.6, 0.2, 0.3, 0.25, 0.2, 0.2, 0.2])

    def try_out(intervention, subjects):
        drawn = next(others if subjects == material.validation else shares)
        return Trial(tuple(subjects), np.tile([drawn, 1 - drawn], (len(subjects), 1)), 1.0)

    tried = type(material)(**{**vars(material), "try_out": try_out})
    assert uce(tried).chosen == {"n_rounds": 2}


def test_the_weights_of_each_cell_that_a_concept_lacks_grow(material):
    """Of gender and age, half of the images show young women: the least cells grow most."""
    shares = np.array([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]])
    step = _step(Trial(("nurse",), shares, 1.0), ["nurse"])
    assert step[0, 0] == pytest.approx(-STEP / 2)
    np.testing.assert_allclose(step[0, 1:], STEP * (1 / 6 - 0.1), rtol=1e-5)
    even = np.full((1, 6), 1 / 6)
    assert not _step(Trial(("nurse",), even, 1.0), ["nurse"]).any()


def test_concepts_are_edited_towards_cells(material):
    attributes = load_attributes("gender,age")
    trials = []

    def try_out(intervention, subjects):
        trials.append(intervention)
        drawn = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1] if len(trials) < 3 else [1 / 6] * 6
        return Trial(tuple(subjects), np.tile(drawn, (len(subjects), 1)), 1.0)

    changes = {"try_out": try_out, "attributes": attributes}
    method = uce(type(material)(**{**vars(material), **changes}))
    assert method.chosen == {"n_rounds": 1}
    signatures = {of.signature(Condition("any")) for of in trials}
    assert len(signatures) == 2


# Other weights


def test_other_weights_stand_in_for_a_batch_and_no_longer(material, denoise):
    unet = material.pipeline.unet
    before = weights_of(unet)
    name = next(name for name in before if name.endswith("attn2.to_v.weight"))
    doubled = EditedWeights({name: 5 * before[name]})
    made, plain = denoise(doubled, [OPEN]), denoise(Intervention(), [OPEN])
    assert np.abs(made - plain).max() > 1e-4
    assert is_untouched(unet, before)
    with doubled.denoising(material.pipeline, []):
        assert torch.equal(unet.get_parameter(name), 5 * before[name])
    with pytest.raises(KeyboardInterrupt), doubled.denoising(material.pipeline, []):
        raise KeyboardInterrupt
    assert is_untouched(unet, before)


def test_weights_that_differ_have_signatures_that_differ():
    one, other = ({"a": torch.ones(2)}, {"a": torch.tensor([1.0, 1.0 + 1e-7])})
    signatures = {EditedWeights(of).signature(Condition("any")) for of in (one, other, one)}
    assert len(signatures) == 2


# LoRA


def test_a_lora_learns_and_leaves_the_denoiser_as_it_was(material, denoise):
    unet = material.pipeline.unet
    before = weights_of(unet)
    method = lora(material, rank=2, n_steps=3, batch_size=4)
    assert is_untouched(unet, before)
    assert not any(hasattr(layer, "base_layer") for layer in unet.modules())
    edited = method.intervention._weights
    assert all(not torch.equal(edited[name], before[name]) for name in edited)
    layers = [unet.get_parameter(name) for name in edited]
    changes = [(edited[name] - before[name]).numpy() for name in edited]
    assert max(np.linalg.matrix_rank(change, rtol=1e-3) for change in changes) == 2
    assert method.n_trainable == sum(2 * sum(of.shape) for of in layers)
    assert np.abs(denoise(method.intervention, [OPEN]) - denoise(Intervention(), [OPEN])).max() > 0


def test_the_same_material_gives_the_same_lora(material):
    made = [lora(material, rank=2, n_steps=2, batch_size=4).intervention for _ in range(2)]
    assert made[0].signature(Condition("any")) == made[1].signature(Condition("any"))
