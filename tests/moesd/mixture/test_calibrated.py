import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import ShapeError
from probe.images.pipelines import load_pipeline
from probe.moesd.experts import Experts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import MAX_STRENGTH, calibrate_strengths, guided, unguided
from probe.moesd.routing import CalibratedRouting

PULL = 0.4  # by which an expert at weight 1 moves a share


def pulled(shares):
    """Experts of the exact world: each moves the share by its weight."""
    start = torch.tensor(shares, dtype=torch.float64)

    def move(weights):
        moved = start + PULL * (weights[:, 0] - weights[:, 1])
        return moved.clamp(0, 1).reshape(-1, 1, 1)

    return move


def test_the_strength_is_the_one_that_brings_the_share_to_the_target(exact):
    shares, target = [0.9, 0.2, 0.55], np.array([0.5, 0.5, 0.3])
    _, counterfactuals = exact.states(*shares)
    found = calibrate_strengths(exact, pulled(shares), counterfactuals, target)
    expected = torch.tensor([[0.0, 1.0], [0.75, 0.0], [0.0, 0.625]])
    torch.testing.assert_close(found.weights, expected, atol=MAX_STRENGTH / 2**8, rtol=0)
    np.testing.assert_allclose(found.before, shares, atol=1e-9)
    np.testing.assert_allclose(found.after, target, atol=PULL * MAX_STRENGTH / 2**8)


def test_pictures_drawn_at_that_strength_have_the_target_share(exact):
    _, counterfactuals = exact.states(0.9)
    move = pulled([0.9])
    found = calibrate_strengths(exact, move, counterfactuals, np.array([0.5]))
    assert (exact.draw(0.9, 600) > 0).double().mean() > 0.8
    drawn = exact.draw(float(move(found.weights)), 600)
    # Four standard deviations of a share of 600 draws.
    assert abs((drawn > 0).double().mean().item() - 0.5) < 4 * 0.5 / 600**0.5


def test_an_expert_that_cannot_reach_the_target_is_at_its_strongest_and_says_so(exact):
    _, counterfactuals = exact.states(0.1)
    found = calibrate_strengths(exact, pulled([0.1]), counterfactuals, np.array([0.95]))
    assert found.weights[0, 0] == pytest.approx(MAX_STRENGTH, abs=0.01)
    assert found.after[0] == pytest.approx(0.1 + PULL * MAX_STRENGTH, abs=0.01)


def test_counterfactuals_must_be_two_of_each_prompt(exact):
    _, counterfactuals = exact.states(0.9)
    with pytest.raises(ShapeError, match="needed"):
        calibrate_strengths(exact, pulled([0.9]), counterfactuals, np.array([0.5, 0.5]))


@given(share=st.floats(0.01, 0.99), scale=st.floats(0.5, 10))
def test_guidance_sharpens_what_it_would_flatten_to_the_same_shares(share, scale):
    shares = np.array([[share, 1 - share]])
    np.testing.assert_allclose(guided(unguided(shares, scale), scale), shares, atol=1e-9)


def test_opened_prompts_are_moved_by_one_expert_and_others_stay_bit_for_bit(
    moesd, town, pipeline_folder
):
    prompts = town.prompts.select(group="neutral").prompts
    opened = moesd.opened(prompts)[0]
    closed = next(prompt for prompt in town.prompts.prompts if not moesd.opened([prompt]))
    method = CalibratedRouting(
        moesd,
        load_pipeline(pipeline_folder),
        Counterfactuals(),
        lambda prompts: [np.array([0.5, 0.5])] * len(prompts),
        guidance_scale=1.5,
    )
    conditions = method.conditions([opened, closed, opened], [1, 2, 3])
    assert conditions[0] == conditions[2]
    states = moesd.encoder.states([opened, closed, opened])
    corrected = method.correct(conditions, states)
    assert torch.equal(corrected[1], states[1])
    assert torch.equal(corrected[0], corrected[2])
    assert not torch.equal(corrected[0], states[0])
    marked = moesd.token.states(moesd.encoder, *moesd.token.input_ids(moesd.encoder, [opened]))
    shifts = [adapter.shift(marked)[0] for adapter in moesd.experts.adapters.values()]
    moved = corrected[0] - marked[0]
    along = [
        torch.nn.functional.cosine_similarity(moved.flatten(), shift.flatten(), dim=0)
        for shift in shifts
    ]
    assert max(along).item() == pytest.approx(1.0, abs=1e-3)


def test_measured_routing_needs_one_word_an_expert(moesd):
    with pytest.raises(ValueError, match="one word per expert"):
        CalibratedRouting(
            moesd, None, Counterfactuals(("young", "old", "ageless")), list, guidance_scale=1.0
        )


def test_experts_at_no_strength_leave_the_marked_states_as_they_are():
    experts = Experts(8, width=2)
    states = torch.randn(2, 3, 8)
    assert torch.equal(experts.mix(states, torch.zeros(2, 2)), states)
