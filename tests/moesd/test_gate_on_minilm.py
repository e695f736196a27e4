"""The gate on a sentence encoder that has read much more than any test set."""

import numpy as np
import pandas as pd
import pytest

from probe.latent.directions import PairDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.evaluation import is_treated_right
from probe.moesd.gate import classify_bias_score, fit_gate
from probe.moesd.token import SpecialToken
from probe.text.captions.gender import read_gender
from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

SUBJECTS = subjects_by_split(PromptSet.build(Lexicon.load()))


@pytest.fixture(scope="module")
def answered(minilm):
    """A third of the prompts of all challenges with their true class and the gate's."""
    prompts = PromptSet.build(Lexicon.load())
    z = minilm.embed(prompts.prompts)
    male, female = prompts.pairs()
    direction = PairDirection().fit(z[male], z[female])
    gate = fit_gate(
        minilm,
        prompts,
        z,
        direction=direction.result(concept="gender", encoder=minilm.revision),
        projection=CalibratedProjection().fit(z[male], z[female]),
        config=TrainConfig(objective="latent"),
    )
    asked = pd.concat(
        [
            PromptTemplates.load(path).prompts(SUBJECTS, split="test", every=3).assign(set=name)
            for name, path in CHALLENGES.items()
        ],
        ignore_index=True,
    )
    reading = gate.read(minilm, asked["prompt"].tolist())
    by_bias_score = classify_bias_score(
        gate.bias_score(reading.z), neutral_below=gate.neutral_below, explicit_above=np.inf
    )
    truth = np.where(asked["kind"] == "person", by_bias_score, asked["kind"])
    route = gate.decide(reading).classes
    return asked.assign(is_right=route == truth, is_treated=is_treated_right(truth, route))


@pytest.mark.parametrize("of", ["seen", "fresh", "blind"])
def test_hard_prompts_get_their_class_and_closed_ones_are_left_alone(answered, of):
    asked = answered[answered["set"] == of]
    is_person = asked["kind"] == "person"
    # The gate's list does not hold the nouns of the lexicon: MiniLM itself has to recognise the
    # person. It misses some people in long prompts, which are then not corrected.
    least_right = {"seen": 0.97, "fresh": 0.88, "blind": 0.75}[of]
    assert asked["is_right"][asked["is_hard"]].mean() > least_right
    assert asked["is_right"][asked["is_hard"] & ~is_person].mean() > 0.95
    least_closed = {"seen": 0.97, "fresh": 0.95, "blind": 0.95}[of]
    assert asked["is_treated"][~is_person].mean() > least_closed


def test_held_out_occupations_in_held_out_templates_get_their_class(answered):
    held_out = answered[answered["category"] == "held-out occupations and templates"]
    assert held_out["is_right"].mean() >= 0.97


def test_a_name_that_is_on_no_list_is_still_known_to_the_encoder(answered):
    rows = answered[answered["category"] == "laureates' names"]
    is_listed = [bool(read_gender(prompt).words) for prompt in rows["prompt"]]
    assert 0.2 < 1 - np.mean(is_listed) < 1
    # 16 prompts; an encoder that knew none of these names would get them all wrong.
    assert rows["is_right"][np.logical_not(is_listed)].mean() > 0.6


def test_a_prompt_with_the_token_keeps_the_end_that_this_encoder_has(minilm):
    said = ["a photo of a nurse", "a nurse " * 600]
    ids, places = SpecialToken.start(minilm, ("nurse",)).input_ids(minilm, said)
    end = minilm.tokenizer.sep_token_id
    assert minilm.tokenizer.eos_token_id is None
    assert (ids == end).sum(dim=1).tolist() == [1, 1]
    assert ids[1, -1] == end
    assert minilm.tokenizer.decode(ids[0, int(places[0]) + 1]) == "nurse"
