"""Methods that change the words of a prompt, and the look-up that tells them when."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from probe.baselines import BASELINES
from probe.baselines.words import (
    SIDES,
    ExplicitMixing,
    Lookup,
    PromptIntervention,
    draw_values,
)
from probe.images.plan import GenerationPlan
from probe.text.concepts import load_attributes
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

SHIPPED = Lexicon.load()


def test_exactly_the_neutral_prompts_about_people_are_open():
    prompts, lookup = PromptSet.build(SHIPPED), Lookup(SHIPPED)
    is_open = np.array([lookup.is_open(prompt) for prompt in prompts.prompts])
    np.testing.assert_array_equal(is_open, prompts.table["group"] == "neutral")


@pytest.mark.parametrize("prompt", ["a photo of a nursery", "a woman", "humane art", "a car"])
def test_part_of_a_word_names_no_occupation(prompt):
    assert not Lookup(SHIPPED).is_open(prompt)


@pytest.mark.parametrize(
    ("prompt", "side", "said"),
    [
        ("a photo of a nurse", "male", "a photo of a man working as a nurse"),
        ("a photo of an auditor", "female", "a photo of a woman working as an auditor"),
        ("A Construction Worker", "male", "a man working as a Construction Worker"),
        ("portrait, nurse", "female", "portrait, a woman working as a nurse"),
    ],
)
def test_a_gender_is_said_with_the_articles_that_it_needs(prompt, side, said):
    assert Lookup(SHIPPED).explicit(prompt, side) == said


def test_a_prompt_that_says_a_gender_is_open_no_more():
    lookup = Lookup(SHIPPED)
    for job in SHIPPED.occupations:
        for side in SIDES:
            assert not lookup.is_open(lookup.explicit(f"a photo of a {job.name}", side))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_sides_are_drawn_evenly_and_by_the_seed_of_the_picture_alone(seed):
    prompts, seeds = ["a nurse"] * 400, list(range(seed, seed + 400))
    sides = draw_values(prompts, seeds, name="any")
    # 400 fair coins: further than 70 from the mean is 7 standard deviations
    assert abs(sides.count("female") - 200) < 70
    assert draw_values(prompts[::-1], seeds[::-1], name="any") == sides[::-1]
    assert draw_values(prompts, seeds, name="other") != sides


def test_the_phrase_is_appended_to_open_prompts_alone():
    method = PromptIntervention(Lookup(SHIPPED))
    prompts = ["a photo of a nurse", "a photo of a male nurse", "a photo of a car"]
    made = method.conditions(prompts, [1, 2, 3])
    assert [of.prompt for of in made] == [prompts[0] + ", diverse genders", *prompts[1:]]


def test_the_oracle_draws_a_gender_for_each_image_by_itself():
    plan = GenerationPlan.build(SHIPPED, n_images=100, seed=0).table
    prompts, seeds = plan["prompt"].tolist(), plan["seed"].tolist()
    oracle = ExplicitMixing(Lookup(SHIPPED))
    made = oracle.conditions(prompts, seeds)
    assert oracle.conditions(prompts[7:8], seeds[7:8]) == made[7:8]
    said = plan.assign(said=[of.prompt for of in made])
    neutral = said[said["kind"] == "neutral"]
    women = neutral["said"].str.contains("woman").groupby(neutral["subject"]).sum()
    statistic = ((women - 50) ** 2 / 25).sum()  # 0 if genders alternate
    assert 0.001 < chi2(len(women)).cdf(statistic) < 0.999
    others = said[said["kind"] != "neutral"]
    assert (others["said"] == others["prompt"]).all()


def test_names_of_methods_are_fit_for_folders():
    assert all(name == name.lower().strip("-") and "/" not in name for name in BASELINES)


def test_of_several_attributes_each_has_a_value_in_the_words():
    attributes = load_attributes("gender,skin_tone")
    lookup = Lookup(SHIPPED, attributes)
    prompt = "a photo of a nurse"
    assert len(lookup.values) == 8
    said = "a photo of a dark-skinned woman working as a nurse"
    assert lookup.explicit(prompt, "female and dark") == said
    assert Lookup(SHIPPED, attributes[1:]).explicit(prompt, "tan") == (
        "a photo of a tan-skinned person working as a nurse"
    )
    for other in ("a photo of a tan-skinned nurse", "a photo of a female nurse", said):
        assert not lookup.is_open(other)
    assert Lookup(SHIPPED, attributes[1:]).is_open("a photo of a female nurse")
    [made] = PromptIntervention(lookup).conditions([prompt], [1])
    assert made.prompt == f"{prompt}, diverse genders and skin tones"
    drawn = ExplicitMixing(lookup).conditions([prompt] * 400, range(400))
    counts = Counter(of.prompt for of in drawn)
    assert len(counts) == 8
    assert min(counts.values()) > 25  # 50 expected: three standard errors are 20
