from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch.nn.functional import mse_loss

from probe.images.pipelines import load_pipeline
from probe.moesd.config import TrainConfig
from probe.moesd.examples import Examples
from probe.moesd.experts import Experts, n_weights
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.model import MoESD
from probe.moesd.objectives import states
from probe.moesd.objectives.diffusion import HIGH_NOISE, NoiseObjective
from probe.moesd.objectives.latent import LatentObjective
from probe.moesd.token import SpecialToken
from probe.text.encoder import TextEncoder


def weights_of(*modules):
    return [w.detach().clone() for module in modules for w in module.state_dict().values()]


@pytest.mark.slow
def test_the_latent_objective_brings_the_bias_score_of_training_prompts_down(town):
    config = TrainConfig(
        objective="latent", latent_steps=25, width=16, learning_rate=4e-3,
        gate_reads="bias_score", false_alarm=1.0,  # else this encoder's gate stays closed
    )  # fmt: skip
    moesd = town.train(config=config)
    table = town.prompts.table
    rows = town.prompts.is_training & (table["group"] == "neutral").to_numpy()
    before = np.abs(moesd.gate.bias_score(town.vectors[rows])).mean()
    after = np.abs(moesd.gate.bias_score(moesd.embed(table["prompt"][rows].tolist()))).mean()
    assert before > 0
    assert after < 0.5 * before


def test_the_base_model_stays_frozen_bit_for_bit(town, pipeline, pictures, on_both_sides):
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, town.encoder.model)
    before = weights_of(*parts)
    moesd = town.train(config=on_both_sides, examples=pictures, pipeline=pipeline)
    for experts in (moesd.experts, moesd.unet_experts):
        assert any(w.any() for name, w in experts.named_parameters() if "up.weight" in name)
        assert not any(w.requires_grad for w in experts.parameters())
    assert not any(module._forward_hooks for module in pipeline.unet.modules())
    for old, new in zip(before, weights_of(*parts), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=0)


@pytest.mark.slow
def test_a_correction_without_the_token_is_trained_saved_and_loaded(
    town, pipeline, pictures, provenance, tmp_path
):
    config = TrainConfig(
        objective="both", latent_steps=2, diffusion_steps=2, batch_size=4, width=4, n_examples=16,
        token_place="nowhere",
    )  # fmt: skip
    moesd = town.train(config=config, examples=pictures, pipeline=pipeline)
    start = SpecialToken.start(town.encoder, ()).vector
    torch.testing.assert_close(moesd.token.vector, start, rtol=0, atol=0)
    assert "token" not in moesd.weights()
    moesd.save(tmp_path, provenance)
    prompts = ["a photo of a nurse", "a photo of a mechanic"]
    loaded = MoESD.load(tmp_path, town.encoder)
    np.testing.assert_array_equal(loaded.embed(prompts), moesd.embed(prompts))
    assert not loaded.token.is_used


def test_prompts_of_other_splits_teach_nothing(town):
    spoiled = town.vectors.copy()
    spoiled[~town.prompts.is_training] = 0.0
    one, two = town.train(), town.train(vectors=spoiled)
    for a, b in zip(weights_of(one.experts), weights_of(two.experts), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    torch.testing.assert_close(one.token.vector, two.token.vector, rtol=0, atol=0)
    for of_one, of_two in (
        (one.gate.axis, two.gate.axis),
        (one.gate.classifier.weights, two.gate.classifier.weights),
        (one.gate.open_above, two.gate.open_above),
        (one.gate.explicit_above, two.gate.explicit_above),
    ):
        np.testing.assert_array_equal(of_one, of_two)


@pytest.mark.slow
def test_the_same_seed_trains_the_same_and_another_seed_does_not(town):
    brief = TrainConfig(objective="latent", latent_steps=2, width=4)
    one, two, other = (
        weights_of(town.train(config=replace(brief, seed=seed)).experts) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_diffusion_batch_holds_each_value_with_the_same_noise(
    diffusion_objective, pipeline_folder
):
    seen = {}

    def record(module, args, kwargs):
        seen["times"], seen["states"] = kwargs["timestep"], kwargs["encoder_hidden_states"]

    pipeline = load_pipeline(pipeline_folder)
    pipeline.unet.register_forward_pre_hook(record, with_kwargs=True)
    assert torch.isfinite(diffusion_objective(pipeline).loss())
    assert (seen["times"][0::2] == seen["times"][1::2]).all()
    torch.testing.assert_close(seen["states"][0::2], seen["states"][1::2])


@pytest.mark.parametrize("name", ["diffusion", "noise"])
def test_a_batch_is_on_the_device_of_the_latents(
    town, pictures, pipeline, diffusion_objective, name
):
    """The device meta stands for a GPU."""
    if name == "diffusion":
        objective = diffusion_objective(pipeline)
    else:
        examples = Examples.read(pictures)
        objective = NoiseObjective(town.train(), examples, pipeline, batch_size=6, seed=0)

    def predict(noised, times, given):
        assert (noised.device.type, times.device.type) == ("meta", "meta")
        return noised

    objective._latents, objective._model.predict = objective._latents.to("meta"), predict
    assert objective.loss().device.type == "meta"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
@pytest.mark.parametrize("sampler", [EulerDiscreteScheduler, DPMSolverMultistepScheduler])
def test_the_sampler_of_the_pipeline_does_not_change_how_training_adds_noise(
    diffusion_objective, pipeline_folder, sampler
):
    pipeline = load_pipeline(pipeline_folder)
    expected = diffusion_objective(pipeline).loss()
    pipeline.scheduler = sampler.from_config(pipeline.scheduler.config)
    pipeline.scheduler.set_timesteps(4)
    assert torch.equal(diffusion_objective(pipeline).loss(), expected)


def test_the_latent_objective_encodes_no_padding(town, moesd, monkeypatch):
    """States at the end of a prompt depend on nothing after it, and so does the gradient."""
    prompts = town.prompts.select(group="neutral", split="train").prompts[:20]
    objective = LatentObjective(moesd, prompts, town.encoder.embed(prompts))
    seen, forward = [], town.encoder.forward_ids
    monkeypatch.setattr(
        town.encoder, "forward_ids", lambda ids: seen.append(ids.shape[1]) or forward(ids)
    )
    short = torch.autograd.grad(objective.loss(), moesd.token.vector)
    objective._ids = moesd.token.input_ids(town.encoder, prompts)[0]
    whole = torch.autograd.grad(objective.loss(), moesd.token.vector)
    assert seen == [max(map(len, town.encoder.tokenizer(prompts).input_ids)) + 1, 77]
    moesd.token.vector.requires_grad_(False)
    torch.testing.assert_close(short, whole, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_counterfactual_states_are_learnt_at_the_first_positions_and_then_at_all(
    moesd, monkeypatch
):
    """The others are learnt without encoding a prompt again, with the token as it is."""
    monkeypatch.setattr(states, "_N_POSITIONS", 16)  # of 32
    encoder, words = TextEncoder.load("tinytown"), Counterfactuals()
    jobs = ("nurse", "carpenter", "lawyer", "cook", "mechanic", "secretary")
    prompts = [f"a {kind} of a {job}" for kind in ("photo", "portrait") for job in jobs]
    token, experts = SpecialToken.start(encoder, jobs), Experts(encoder.n_features, width=16)
    correction = replace(moesd, encoder=encoder, token=token, experts=experts)
    assert states.leaves_out_positions(correction, prompts)
    n_tokens, forward = [], encoder.forward_ids
    monkeypatch.setattr(
        encoder, "forward_ids", lambda ids: n_tokens.append(ids.numel()) or forward(ids)
    )

    def learn(objective):
        optimizer = torch.optim.Adam(objective.parameters, lr=5e-3)
        n_tokens.clear()
        for _ in range(60):
            optimizer.zero_grad()
            objective.loss().backward()
            optimizer.step()

    def left(places):
        """Share of the squared distance that each expert leaves."""
        plain = token.encode(encoder, prompts)[:, places]
        stated = words.aligned_states(encoder, token, prompts)[:, :, places]
        pairs = zip(experts.adapters.values(), stated, strict=True)
        return [(mse_loss(of(plain), to) / mse_loss(plain, to)).item() for of, to in pairs]

    learn(states.CounterfactualStates(correction, correction.attributes, prompts, words))
    assert n_tokens == [len(prompts) * 16] * 60
    first, rest = left(slice(16)), left(slice(16, None))
    assert max(rest) < 1 / 3  # one expert serves all positions
    vector = token.vector.detach().clone()
    learn(
        states.CounterfactualStates(
            correction, correction.attributes, prompts, words, all_positions=True
        )
    )
    assert n_tokens == []
    assert torch.equal(token.vector, vector)
    assert np.all(np.array(left(slice(16, None))) < np.array(rest) / 2)
    assert np.all(np.array(left(slice(16))) < first)


def test_the_paper_recipe_trains_token_and_unet_experts_by_the_noise_alone(
    town, pipeline, pictures, monkeypatch
):
    recipe = TrainConfig(**TrainConfig.completed({"recipe": "paper"}))
    assert recipe.recipe_line == "paper"
    config = replace(recipe, diffusion_steps=3, batch_size=4, n_examples=16)
    seen, unet = [], pipeline.unet.forward

    def forward(x, timestep, **given):
        seen.append(timestep)
        return unet(x, timestep, **given)

    monkeypatch.setattr(pipeline.unet, "forward", forward)
    moesd = town.train(config=config, examples=pictures, pipeline=pipeline)
    assert len(seen) == 3  # no other prediction, such as a teacher's
    assert torch.cat(seen).min() < HIGH_NOISE * 1000
    start = SpecialToken.start(town.encoder, ()).vector
    assert not torch.equal(moesd.token.vector, start)
    for experts, is_trained in ((moesd.unet_experts, True), (moesd.experts, False)):
        ups = [w for name, w in experts.named_parameters() if ".up." in name]
        assert any(bool(weight.any()) for weight in ups) == is_trained
    share = n_weights(moesd.unet_experts) / n_weights(pipeline.unet)
    assert 0.05 < share <= 0.056
    assert moesd.recipe == "paper with diffusion_steps = 3"
