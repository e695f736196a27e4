from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probe.errors import OptionError, ShapeError
from probe.images.models.lookup import image_model
from probe.moesd.draws import full_allocation, minimal_allocation
from probe.moesd.experts import DIRECTIONS
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import estimate_shares
from probe.moesd.router import ROUTERS, SERVED, Router
from probe.moesd.targets import Target
from probe.text.templates import with_article

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


def test_a_target_of_other_values_is_refused():
    with pytest.raises(ShapeError, match="the target has 3 shares and the base 2"):
        minimal_allocation(np.ones(3) / 3, np.ones(2) / 2)


# Draws


@given(st.text(max_size=9), st.integers(0, 2**64 - 301), share_pairs(), st.integers(1, 300))
def test_any_run_of_consecutive_seeds_is_spread_evenly(prompt, first, shares, n):
    draw = Router("stratified").draw
    strata = [draw(prompt, seed, shares[0]) for seed in range(first, first + n)]
    counts = np.bincount(strata, minlength=len(shares[0]))
    # An interval of a golden-ratio sequence is off by less than 1 + log2(n) images at each end.
    assert (np.abs(counts - n * shares[0]) <= 2 + 2 * np.log2(n + 1)).all()
    assert counts[shares[0] == 0].sum() == 0


@pytest.mark.parametrize("kind", ["bernoulli", "stratified"])
def test_random_seeds_give_independent_draws(kind):
    shares, rng = np.array([0.3, 0.7]), np.random.default_rng(0)
    seeds = rng.integers(2**32, size=(200, 50)).tolist()
    n_second = [sum(Router(kind).draw("p", seed, shares) for seed in row) for row in seeds]
    # Means and variances of 200 binomial counts, within four of their standard errors.
    assert abs(np.mean(n_second) - 35) < 4 * np.sqrt(10.5 / 200)
    assert abs(np.var(n_second) - 10.5) < 4 * 10.5 * np.sqrt(2 / 200)


def test_bernoulli_draws_of_consecutive_seeds_vary_as_independent_ones():
    n_second = [
        sum(Router("bernoulli").draw(prompt, seed, HALF) for seed in range(50))
        for prompt in map(str, range(200))
    ]
    assert abs(np.var(n_second) - 12.5) < 4 * 12.5 * np.sqrt(2 / 200)


# Routers


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"kind": "by-hope"}, "routing is 'by-hope'; needed one of top1"),
        ({"strength": 1.5}, r"strength is 1\.5"),
        ({"target": Target(np.array([0.4, 0.6]))}, "top1, which can only meet the target parity"),
    ],
)
def test_a_router_that_makes_no_sense_is_refused(settings, named):
    with pytest.raises(OptionError, match=named):
        Router(**settings)


@pytest.mark.parametrize("objective", SERVED)
def test_a_router_that_experts_cannot_serve_is_refused(moesd, objective):
    for kind in ROUTERS:
        if kind in SERVED[objective]:
            assert replace(moesd, objective=objective, router=Router(kind)).router.kind == kind
        else:
            with pytest.raises(OptionError, match=f"{kind!r} but experts .* {objective!r} serve"):
                replace(moesd, objective=objective, router=Router(kind))


@pytest.mark.parametrize("kind", ROUTERS)
def test_the_route_of_an_image_does_not_depend_on_the_batch(moesd, opened, kind, pipeline):
    method = routed_by(moesd, kind).intervention(pipeline)
    together = method.conditions([opened] * 40, range(40))
    alone = [method.conditions([opened], [seed])[0] for seed in range(40)]
    assert together == alone == method.conditions([opened] * 40, range(39, -1, -1))[::-1]


# Interventions


@pytest.fixture
def opened(moesd, town):
    return next(iter(moesd.opened(town.prompts.select(group="neutral").prompts)))


@pytest.fixture
def closed(moesd, town):
    return next(prompt for prompt in town.prompts.prompts if not moesd.opened([prompt]))


def routed_by(moesd, kind, **settings):
    objective = "both" if kind == "top1" else "counterfactual"
    router = Router(kind, **{"min_explained": 0.0, **settings})
    return replace(moesd, objective=objective, router=router)


def test_half_the_images_of_an_open_prompt_go_to_each_expert(moesd, opened):
    method = routed_by(moesd, "stratified").intervention()
    conditions = method.conditions([opened] * 40, range(40))
    routes = [condition.route for condition in conditions]
    assert sorted(set(routes)) == sorted(DIRECTIONS)
    assert abs(routes.count(DIRECTIONS[0]) - 20) <= 2
    assert {condition.prompt for condition in conditions} == {opened}


@pytest.mark.parametrize("kind", ["bernoulli", "stratified"])
def test_closed_prompts_and_images_left_to_the_base_model_stay_bit_for_bit(
    moesd, opened, closed, kind
):
    target = Target(np.array([1.0, 0.0]))
    method = routed_by(moesd, kind, target=target, strength=0.5).intervention()
    prompts = [opened] * 8 + [closed] * 8
    conditions = method.conditions(prompts, range(16))
    assert not any(condition.route for condition in conditions[8:])
    assert {condition.route for condition in conditions[:8]} == {"", DIRECTIONS[0]}
    states = moesd.encoder.states(prompts)
    corrected = method.correct(conditions, states)
    for row, condition in enumerate(conditions):
        assert torch.equal(corrected[row], states[row]) == (condition.route == "")


def test_the_denoiser_is_not_asked_where_no_prompt_opens(moesd, closed):
    method = routed_by(moesd, "calibrated").intervention(pipeline=None)
    states = moesd.encoder.states([closed])
    assert torch.equal(method.correct(method.conditions([closed], [1]), states), states)


def test_calibrated_routing_moves_open_prompts_along_one_expert_and_no_others(
    moesd, opened, closed, pipeline
):
    method = routed_by(moesd, "calibrated").intervention(pipeline, guidance_scale=1.5)
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


def test_a_denoiser_that_explicit_prompts_explain_too_little_is_refused(moesd, opened, pipeline):
    subjects = moesd.token.subjects[:3]
    moesd = replace(moesd, token=replace(moesd.token, subjects=subjects))
    prompts = [f"a photo of {with_article(subject)}" for subject in subjects]
    model = image_model(pipeline)
    words = Counterfactuals().conditions(model, moesd.token, prompts)
    said = model.conditions(prompts)
    explained = np.median(estimate_shares(model, said, words, n_noises=4).explained)
    assert 0 < explained < 1
    for least, is_refused in ((0.99 * explained, False), (min(1, 1.01 * explained), True)):
        method = routed_by(moesd, "calibrated", min_explained=least).intervention(pipeline)

        def make(method=method):
            return method.correct(method.conditions([opened], [1]), moesd.encoder.states([opened]))

        if is_refused:
            named = f"explain {explained:.2f} of .* needed .*--routing bernoulli.stratified"
            with pytest.raises(OptionError, match=named):
                make()
        else:
            make()
