from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.moesd import training
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.objectives.states import CounterfactualStates
from probe.text.prompts import PromptSet


def three(town):
    moesd = replace(town.train(), experts=Experts(town.encoder.n_features, width=16))
    return moesd, town.prompts.select(group="neutral", split="train").prompts[:3]


def steps(objective, n, rate):
    optimizer = torch.optim.Adam(objective.parameters, lr=rate)
    for _ in range(n):
        optimizer.zero_grad()
        objective.loss().backward()
        optimizer.step()


@pytest.mark.slow
def test_each_expert_goes_to_its_own_value_and_farther_with_emphasis(town):
    reached = {}
    for emphasis in (1.0, 2.0):
        moesd, prompts = three(town)
        plain = moesd.token.encode(moesd.encoder, prompts).detach()
        stated = Counterfactuals().aligned_states(moesd.encoder, moesd.token, prompts)
        objective = CounterfactualStates(
            moesd, moesd.attributes, prompts, Counterfactuals(), emphasis=emphasis
        )
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
def test_only_neutral_prompts_of_training_occupations_are_learned_from(town, monkeypatch):
    table, seen = town.prompts.table, []
    trained = table[(table["split"] == "train") & (table["group"] == "neutral")]
    dropped = set(trained["subject"]) - set(trained["subject"].drop_duplicates().iloc[::10])
    kept = ~table["subject"].isin(dropped).to_numpy()  # objects too: the gate is fitted on them
    few = PromptSet(table[kept].reset_index(drop=True))
    config = TrainConfig(objective="counterfactual", latent_steps=2, width=4)

    class Recorded(CounterfactualStates):
        def __init__(self, trained, attributes, prompts, *others, **options):
            seen.extend(prompts)
            super().__init__(trained, attributes, prompts, *others, **options)

    monkeypatch.setattr(training, "CounterfactualStates", Recorded)
    town.train(config=config, prompts=few, vectors=town.vectors[kept])
    expected = few.take(few.is_training).select(group="neutral").prompts
    assert set(seen) == set(expected)
