from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.moesd import training
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.objectives.diffusion import HIGH_NOISE
from probe.moesd.objectives.predictions import (
    balanced_trajectories,
    follow_trajectories,
    mixture_predictions,
)
from probe.moesd.objectives.states import CounterfactualStates, MixtureStates
from probe.text.prompts import PromptSet


def three(town):
    moesd = replace(town.train(), experts=Experts(town.encoder.n_features, width=16))
    return moesd, town.prompts.select(group="neutral", split="train").prompts[:3]


def test_stored_time_steps_are_on_the_device_of_the_latents(exact):
    """A U-Net on a GPU takes several time steps from its own device only."""
    states, _ = exact.states(0.9, 0.2)
    states = states.to("meta")
    bank = follow_trajectories(
        exact, states, torch.tensor([0, 1]), lambda latents, *_: latents, seed=0
    )
    assert bank.times.device == bank.latents.device == torch.device("meta")


def steps(objective, n, rate):
    optimizer = torch.optim.Adam(objective.parameters, lr=rate)
    for _ in range(n):
        optimizer.zero_grad()
        objective.loss().backward()
        optimizer.step()


def test_the_teachers_predictions_are_those_of_a_mixture_of_equal_shares(exact):
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
def test_each_expert_goes_to_its_own_value_and_farther_with_emphasis(town):
    reached = {}
    for emphasis in (1.0, 2.0):
        moesd, prompts = three(town)
        plain = moesd.token.encode(moesd.encoder, prompts).detach()
        stated = Counterfactuals().aligned_states(moesd.encoder, moesd.token, prompts)
        objective = CounterfactualStates(moesd, prompts, Counterfactuals(), emphasis=emphasis)
        assert objective.loss().item() == pytest.approx(1.0, rel=1e-5)
        steps(objective, 25, 2e-2)
        assert objective.loss().item() < 0.7
        sent = torch.stack([moesd.encode_weighted(prompts, np.eye(2)[[k] * 3])[0] for k in (0, 1)])
        own, other = ((sent - of).square().mean() for of in (stated, stated.flip(0)))
        assert own < other
        along = ((sent - plain) * (stated - plain)).sum() / (stated - plain).square().sum()
        reached[emphasis] = along.item()
    assert 0.4 < reached[1.0] < 1.4 * reached[1.0] < reached[2.0]


@pytest.mark.slow
def test_the_mixture_loss_starts_at_one_and_falls(town, pipeline):
    moesd, prompts = three(town)
    objective = MixtureStates(moesd, prompts, Counterfactuals(), pipeline, seed=0)
    assert objective.loss().item() == pytest.approx(1.0, rel=1e-5)
    assert (objective.weights > 0).sum(dim=1).tolist() == [1, 1, 1]
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
def test_only_neutral_prompts_of_training_occupations_are_learned_from(town, pipeline, monkeypatch):
    table, seen = town.prompts.table, []
    trained = table[(table["split"] == "train") & (table["group"] == "neutral")]
    dropped = set(trained["subject"]) - set(trained["subject"].drop_duplicates().iloc[::10])
    kept = ~table["subject"].isin(dropped).to_numpy()  # objects too: the gate is fitted on them
    few = PromptSet(table[kept].reset_index(drop=True))
    config = TrainConfig(
        objective="mixture", latent_steps=2, diffusion_steps=2, n_examples=4, batch_size=3, width=4
    )

    class Recorded(MixtureStates):
        def __init__(self, moesd, prompts, *others, **options):
            seen.extend(prompts)
            super().__init__(moesd, prompts, *others, **options)

    monkeypatch.setattr(training, "MixtureStates", Recorded)
    town.train(config=config, pipeline=pipeline, prompts=few, vectors=town.vectors[kept])
    expected = few.take(few.is_training).select(group="neutral").prompts
    assert sorted(seen) == sorted(expected)
