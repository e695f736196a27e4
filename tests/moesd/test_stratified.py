from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.images.pipelines import load_pipeline
from probe.moesd.config import TrainConfig
from probe.moesd.experts import DIRECTIONS, Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.objectives.predictions import counterfactual_predictions
from probe.moesd.objectives.states import CounterfactualStates
from probe.moesd.routing import StratifiedRouting, full_allocation

HALF = np.array([0.5, 0.5])


@pytest.fixture(scope="module")
def pipeline(pipeline_folder):
    return load_pipeline(pipeline_folder)


@pytest.fixture(scope="module")
def taught(town, pipeline):
    config = TrainConfig(
        objective="counterfactual",
        latent_steps=5,
        diffusion_steps=2,
        n_examples=4,
        batch_size=3,
        width=16,
        learning_rate=1e-2,
    )
    return town.train(config=config, pipeline=pipeline)


def opened_and_closed(moesd, town):
    prompts = town.prompts.select(group="neutral").prompts
    opened, every = moesd.opened(prompts), town.prompts.prompts
    closed = set(every) - set(moesd.opened(every))
    return opened[0], next(prompt for prompt in every if prompt in closed)


def halves(prompts):
    return [full_allocation(HALF) for _ in prompts]


def test_half_the_pictures_of_an_opened_prompt_go_to_each_expert(taught, town):
    prompt, _ = opened_and_closed(taught, town)
    conditions = StratifiedRouting(taught, halves).conditions([prompt] * 40, range(40))
    routes = [condition.route for condition in conditions]
    assert sorted(set(routes)) == sorted(DIRECTIONS)
    assert abs(routes.count(DIRECTIONS[0]) - 20) <= 2
    assert {condition.prompt for condition in conditions} == {prompt}


def test_a_closed_prompt_and_a_picture_left_to_the_base_stay_bit_for_bit(taught, town):
    opened, closed = opened_and_closed(taught, town)
    method = StratifiedRouting(taught, lambda prompts: [np.array([0.5, 0.5, 0.0])] * len(prompts))
    prompts = [opened] * 8 + [closed] * 8
    conditions = method.conditions(prompts, range(16))
    assert not any(condition.route for condition in conditions[8:])
    assert {condition.route for condition in conditions[:8]} == {"", DIRECTIONS[0]}
    states = taught.encoder.states(prompts)
    corrected = method.correct(conditions, states)
    for row, condition in enumerate(conditions):
        assert torch.equal(corrected[row], states[row]) == (condition.route == "")


def test_nothing_is_asked_of_the_division_where_no_prompt_opens(taught, town):
    _, closed = opened_and_closed(taught, town)

    def refuse(prompts):
        raise AssertionError(prompts)

    conditions = StratifiedRouting(taught, refuse).conditions([closed], [1])
    states = taught.encoder.states([closed])
    assert StratifiedRouting(taught, refuse).correct(conditions, states) is states


@pytest.mark.slow
def test_the_state_loss_starts_at_one_and_falls_to_where_each_expert_says_its_value(town):
    prompts = town.prompts.select(group="neutral", split="trained").prompts[:6]
    moesd = replace(town.train(), experts=Experts(town.encoder.n_features, width=32))
    objective = CounterfactualStates(moesd, prompts, Counterfactuals())
    assert objective.loss().item() == pytest.approx(1.0, rel=1e-5)
    optimizer = torch.optim.Adam(objective.parameters, lr=2e-2)
    for _ in range(25):
        optimizer.zero_grad()
        objective.loss().backward()
        optimizer.step()
    targets = Counterfactuals().aligned_states(moesd.encoder, moesd.token, prompts)
    for value, own in enumerate(targets):
        sent, _ = moesd.encode_weighted(prompts, np.eye(2)[[value] * len(prompts)])
        assert (sent - own).square().mean() < (sent - targets[1 - value]).square().mean()
    assert objective.loss().item() < 0.7


def test_the_denoiser_says_the_target_again_under_the_counterfactual_that_was_drawn(town, pipeline):
    prompts = town.prompts.select(group="neutral", split="trained").prompts[:3]
    moesd = town.train()
    objective = counterfactual_predictions(
        moesd, prompts, Counterfactuals(), pipeline, n_prompts=4, batch_size=5, seed=0
    )
    assert objective.loss().item() > 0
    states = Counterfactuals().aligned_states(moesd.encoder, moesd.token, prompts).flatten(0, 1)
    bank = objective.trajectories
    with torch.no_grad():
        again = pipeline.unet(
            bank.latents, bank.times, encoder_hidden_states=states[bank.rows]
        ).sample
    torch.testing.assert_close(again, bank.predictions, atol=1e-5, rtol=1e-4)
