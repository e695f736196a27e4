from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch

from probe.images.pipelines import load_pipeline
from probe.io.artifacts import Provenance
from probe.moesd import training
from probe.moesd.checkpoint import Checkpoint
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.objectives.diffusion import HIGH_NOISE
from probe.moesd.objectives.predictions import (
    balanced_trajectories,
    follow_trajectories,
    mixture_predictions,
)
from probe.moesd.objectives.states import MixtureStates
from probe.text.prompts import PromptSet

CONFIG = TrainConfig(
    objective="mixture", latent_steps=2, diffusion_steps=2, n_examples=4, batch_size=3, width=4
)


@pytest.fixture(scope="module")
def pipeline(pipeline_folder):
    return load_pipeline(pipeline_folder)


@pytest.fixture(scope="module")
def few(town):
    """The town with three of its training occupations, and all that are held out."""
    table = town.prompts.table
    names = table.loc[table["split"] == "trained", "subject"].drop_duplicates()
    kept = ((table["split"] != "trained") | table["subject"].isin(names.iloc[::10])).to_numpy()
    return {
        "prompts": PromptSet(table[kept].reset_index(drop=True)),
        "vectors": town.vectors[kept],
    }


def three(town):
    moesd = replace(town.train(), experts=Experts(town.encoder.n_features, width=16))
    return moesd, town.prompts.select(group="neutral", split="trained").prompts[:3]


def test_stored_time_steps_are_on_the_device_of_the_latents(exact):
    """A U-Net on a GPU takes several time steps from its own device only."""
    exact.unet.forward = lambda latents, *_, **__: SimpleNamespace(sample=latents)
    states, _ = exact.states(0.9, 0.2)
    bank = follow_trajectories(exact, states.to("meta"), torch.tensor([0, 1]), seed=0)
    assert bank.times.device == bank.latents.device == torch.device("meta")


def steps(objective, n, rate):
    optimizer = torch.optim.Adam(objective.parameters, lr=rate)
    for _ in range(n):
        optimizer.zero_grad()
        objective.loss().backward()
        optimizer.step()


def test_the_teacher_says_what_a_mixture_of_even_shares_would_say(exact):
    states, counterfactuals = exact.states(0.9, 0.2)
    bank = balanced_trajectories(exact, states, counterfactuals, torch.tensor([0, 1] * 40), seed=0)
    assert bank.times.min() >= HIGH_NOISE * exact.scheduler.config.num_train_timesteps
    even = torch.full((len(bank.rows), 1, 1), 0.5, dtype=torch.float64)
    leaning = states[bank.rows]
    right, wrong = torch.empty_like(bank.predictions), torch.empty_like(bank.predictions)
    for time in bank.times.unique():
        here = bank.times == time
        right[here] = exact.unet(bank.latents[here], time, even[here]).sample
        wrong[here] = exact.unet(bank.latents[here], time, leaning[here]).sample
    # Weights below 1 % are lifted to it, which moves a prediction by that share of 2 mu, at most
    # ninefold where the odds are divided by 9.
    off = (bank.predictions - right).abs()
    assert off.median() < 1e-9
    assert off.max() < 0.1 * 2 * exact.unet.mean < (wrong - right).abs().max()


@pytest.mark.slow
def test_the_state_loss_is_one_at_first_and_falls(town, pipeline):
    moesd, prompts = three(town)
    objective = MixtureStates(moesd, prompts, Counterfactuals(), pipeline, seed=0)
    assert objective.loss().item() == pytest.approx(1.0, rel=1e-5)
    assert (objective.found.weights > 0).sum(dim=1).tolist() == [1, 1, 1]
    steps(objective, 14, 2e-2)
    assert objective.loss().item() < 0.85


@pytest.mark.slow
def test_the_prediction_loss_falls_and_the_image_model_stays_bit_for_bit(town, pipeline):
    moesd, prompts = three(town)
    before = [weight.clone() for weight in pipeline.unet.parameters()]
    objective = mixture_predictions(
        moesd, prompts, Counterfactuals(), pipeline, n_prompts=4, batch_size=32, seed=0
    )
    start = objective.rng.get_state()
    first = objective.loss().item()
    steps(objective, 8, 1e-2)
    objective.rng.set_state(start)
    assert objective.loss().item() < first
    assert all(map(torch.equal, before, pipeline.unet.parameters()))


@pytest.mark.slow
def test_only_training_occupations_that_say_no_gender_are_learnt_from(
    town, few, pipeline, monkeypatch
):
    seen = []

    class Recorded(MixtureStates):
        def __init__(self, moesd, prompts, *others, **options):
            seen.extend(prompts)
            super().__init__(moesd, prompts, *others, **options)

    monkeypatch.setattr(training, "MixtureStates", Recorded)
    town.train(config=CONFIG, pipeline=pipeline, **few)
    expected = few["prompts"].select(group="neutral", split="trained").prompts
    assert sorted(seen) == sorted(expected)
    held_out = set(few["prompts"].select(split="held_out").table["subject"])
    assert not [prompt for prompt in seen for name in held_out if name in prompt]


@pytest.mark.slow
def test_a_training_that_is_stopped_ends_in_the_same_weights(town, few, pipeline, tmp_path):
    class StopError(Exception):
        pass

    def stop(done, total):
        if done == 3:
            raise StopError

    provenance = Provenance(kind="training-state", model="m", revision="r", seed=0, made_from="x")

    def train(**options):
        state = Checkpoint(tmp_path / "state.safetensors", provenance, asdict(CONFIG), float("inf"))
        moesd = town.train(config=CONFIG, pipeline=pipeline, checkpoint=state, **few, **options)
        return list(moesd.experts.parameters())

    with pytest.raises(StopError):
        train(progress=stop)
    assert (tmp_path / "state.safetensors").exists()
    resumed = train()
    assert not (tmp_path / "state.safetensors").exists()
    assert all(map(torch.equal, resumed, train()))
