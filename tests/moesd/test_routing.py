import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probe.errors import ShapeError
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.routing import (
    CalibratedRouting,
    StratifiedRouting,
    draw_stratified,
    full_allocation,
    minimal_allocation,
)

HALF = np.array([0.5, 0.5])
strengths = st.floats(0.0, 1.0)


@st.composite
def share_pairs(draw):
    n_values = draw(st.integers(2, 5))
    rows = draw(arrays(float, (2, n_values), elements=st.floats(0.0, 1.0)))
    assume((rows.sum(axis=1) > 0.01).all())
    return rows / rows.sum(axis=1, keepdims=True)


# Allocations


@given(share_pairs(), strengths)
def test_images_of_the_base_model_and_of_the_experts_add_up_to_the_wanted_shares(shares, strength):
    base, target = shares
    wanted = (1 - strength) * base + strength * target
    for allocation in (
        full_allocation(target, strength=strength),
        minimal_allocation(target, base, strength=strength),
    ):
        np.testing.assert_allclose(allocation[0] * base + allocation[1:], wanted, atol=1e-9)
        np.testing.assert_allclose(allocation.sum(), 1.0)
        assert (allocation >= -1e-12).all()


@given(share_pairs())
def test_a_minimal_allocation_leaves_the_base_model_as_many_images_and_all_at_strength_0(shares):
    base, target = shares
    assert minimal_allocation(target, base)[0] >= full_allocation(target)[0]
    np.testing.assert_allclose(minimal_allocation(target, base, strength=0.0)[0], 1.0)
    assert full_allocation(target, strength=0.0)[0] == 1.0


def test_of_two_values_only_the_expert_of_the_missing_one_gets_images():
    np.testing.assert_allclose(minimal_allocation(HALF, np.array([0.2, 0.8])), [0.625, 0.375, 0.0])


def test_a_strength_that_is_no_share_and_a_target_of_other_values_are_refused():
    with pytest.raises(ValueError, match=r"strength is 1\.5"):
        full_allocation(HALF, strength=1.5)
    with pytest.raises(ShapeError, match="the target has 3 shares and the base 2"):
        minimal_allocation(np.ones(3) / 3, np.ones(2) / 2)


# Stratified draws


@given(st.integers(0, 2**31), share_pairs(), st.integers(1, 300))
def test_images_drawn_together_meet_the_shares_within_a_few_images(seed, shares, n):
    seeds = np.random.default_rng(seed).choice(2**32, size=n, replace=False).tolist()
    strata = draw_stratified(["a photo of a nurse"] * n, seeds, {"a photo of a nurse": shares[0]})
    counts = np.bincount(strata, minlength=len(shares[0]))
    # An interval of a golden-ratio sequence is off by less than 1 + log2(n) images at each end.
    assert (np.abs(counts - n * shares[0]) <= 2 + 2 * np.log2(n + 1)).all()
    assert counts[shares[0] == 0].sum() == 0


def test_an_image_drawn_alone_is_a_fair_draw_by_its_seed():
    shares = {"p": np.array([0.3, 0.7])}
    alone = [int(draw_stratified(["p"], [seed], shares)[0]) for seed in range(2000)]
    # Four standard deviations of 2,000 independent draws.
    assert abs(np.mean(alone) - 0.7) < 4 * np.sqrt(0.21 / 2000)


def test_more_images_change_no_earlier_stratum_and_a_repeated_seed_gets_the_same():
    shares = {"p": HALF, "q": np.array([0.2, 0.8])}
    seeds = list(range(40))
    few = draw_stratified(["p"] * 20, seeds[:20], shares)
    many = draw_stratified(["p", "q"] * 40, np.repeat(seeds, 2).tolist(), shares)
    assert few.tolist() == many[::2][:20].tolist()
    twice = draw_stratified(["p"] * 4, [5, 6, 5, 6], shares)
    assert twice[:2].tolist() == twice[2:].tolist()


# Interventions


@pytest.fixture
def opened(moesd, town):
    return moesd.opened(town.prompts.select(group="neutral").prompts)[0]


@pytest.fixture
def closed(moesd, town):
    return next(prompt for prompt in town.prompts.prompts if not moesd.opened([prompt]))


def test_half_the_images_of_an_open_prompt_go_to_each_expert(moesd, opened):
    method = StratifiedRouting(moesd, lambda prompts: [full_allocation(HALF)] * len(prompts))
    conditions = method.conditions([opened] * 40, range(40))
    routes = [condition.route for condition in conditions]
    assert sorted(set(routes)) == sorted(DIRECTIONS)
    assert abs(routes.count(DIRECTIONS[0]) - 20) <= 2
    assert {condition.prompt for condition in conditions} == {opened}


def test_closed_prompts_and_images_left_to_the_base_model_stay_bit_for_bit(moesd, opened, closed):
    method = StratifiedRouting(moesd, lambda prompts: [np.array([0.5, 0.5, 0.0])] * len(prompts))
    prompts = [opened] * 8 + [closed] * 8
    conditions = method.conditions(prompts, range(16))
    assert not any(condition.route for condition in conditions[8:])
    assert {condition.route for condition in conditions[:8]} == {"", DIRECTIONS[0]}
    states = moesd.encoder.states(prompts)
    corrected = method.correct(conditions, states)
    for row, condition in enumerate(conditions):
        assert torch.equal(corrected[row], states[row]) == (condition.route == "")


def test_shares_are_not_asked_for_where_no_prompt_opens(moesd, closed):
    def refuse(prompts):
        raise AssertionError(prompts)

    method = StratifiedRouting(moesd, refuse)
    states = moesd.encoder.states([closed])
    assert method.correct(method.conditions([closed], [1]), states) is states


def test_calibrated_routing_moves_open_prompts_along_one_expert_and_no_others(
    moesd, opened, closed, pipeline
):
    method = CalibratedRouting(
        moesd,
        pipeline,
        Counterfactuals(),
        lambda prompts: [HALF] * len(prompts),
        guidance_scale=1.5,
    )
    conditions = method.conditions([opened, closed, opened], [1, 2, 3])
    assert conditions[0] == conditions[2]
    states = moesd.encoder.states([opened, closed, opened])
    corrected = method.correct(conditions, states)
    assert torch.equal(corrected[1], states[1])
    assert torch.equal(corrected[0], corrected[2])
    assert not torch.equal(corrected[0], states[0])
    marked = moesd.token.encode(moesd.encoder, [opened])
    moved = (corrected[0] - marked[0]).flatten()
    along = [
        torch.nn.functional.cosine_similarity(moved, adapter.shift(marked).flatten(), dim=0)
        for adapter in moesd.experts.adapters.values()
    ]
    assert max(along).item() == pytest.approx(1.0, abs=1e-3)
