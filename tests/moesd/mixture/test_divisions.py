import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probe.errors import ShapeError
from probe.moesd.routing import draw_stratified, full_allocation, minimal_allocation

strengths = st.floats(0.0, 1.0)


@st.composite
def share_pairs(draw):
    n_values = draw(st.integers(2, 5))
    rows = draw(arrays(float, (2, n_values), elements=st.floats(0.0, 1.0)))
    assume((rows.sum(axis=1) > 0.01).all())
    return rows / rows.sum(axis=1, keepdims=True)


@given(share_pairs(), strengths)
def test_what_stays_and_what_the_experts_bring_add_up_to_what_is_wanted(shares, strength):
    base, target = shares
    wanted = (1 - strength) * base + strength * target
    for division in (
        full_allocation(target, strength=strength),
        minimal_allocation(target, base, strength=strength),
    ):
        np.testing.assert_allclose(division[0] * base + division[1:], wanted, atol=1e-9)
        np.testing.assert_allclose(division.sum(), 1.0)
        assert (division >= -1e-12).all()


@given(share_pairs())
def test_sending_only_the_missing_never_sends_more_than_sending_all(shares):
    base, target = shares
    assert minimal_allocation(target, base)[0] >= full_allocation(target)[0]


def test_two_values_give_pictures_to_the_expert_of_the_missing_one_alone():
    np.testing.assert_allclose(
        minimal_allocation(np.array([0.5, 0.5]), np.array([0.2, 0.8])), [0.625, 0.375, 0.0]
    )


@given(share_pairs())
def test_strength_0_sends_nobody(shares):
    base, target = shares
    np.testing.assert_allclose(minimal_allocation(target, base, strength=0.0)[0], 1.0)
    assert full_allocation(target, strength=0.0)[0] == 1.0


def test_a_strength_that_is_no_share_and_a_target_of_other_values_are_refused():
    with pytest.raises(ValueError, match=r"strength is 1\.5"):
        full_allocation(np.array([0.5, 0.5]), strength=1.5)
    with pytest.raises(ShapeError, match="the target has 3 shares and the base 2"):
        minimal_allocation(np.ones(3) / 3, np.ones(2) / 2)


@given(st.integers(0, 2**31), share_pairs(), st.integers(1, 300))
def test_pictures_made_together_meet_the_shares_within_a_few_pictures(seed, shares, n):
    seeds = np.random.default_rng(seed).choice(2**32, size=n, replace=False).tolist()
    ways = draw_stratified(["a photo of a nurse"] * n, seeds, {"a photo of a nurse": shares[0]})
    counts = np.bincount(ways, minlength=len(shares[0]))
    # An interval of a golden-ratio sequence is off by less than 1 + log2(n) pictures at each end.
    assert (np.abs(counts - n * shares[0]) <= 2 + 2 * np.log2(n + 1)).all()
    assert counts[shares[0] == 0].sum() == 0


def test_a_picture_made_alone_is_a_fair_draw_by_its_seed():
    shares = {"p": np.array([0.3, 0.7])}
    alone = [int(draw_stratified(["p"], [seed], shares)[0]) for seed in range(2000)]
    # Four standard deviations of 2,000 independent draws.
    assert abs(np.mean(alone) - 0.7) < 4 * np.sqrt(0.21 / 2000)


def test_more_pictures_change_no_earlier_way_and_a_repeated_seed_goes_the_same_way():
    shares = {"p": np.array([0.5, 0.5]), "q": np.array([0.2, 0.8])}
    seeds = list(range(40))
    few = draw_stratified(["p"] * 20, seeds[:20], shares)
    many = draw_stratified(["p", "q"] * 40, np.repeat(seeds, 2).tolist(), shares)
    assert few.tolist() == many[::2][:20].tolist()
    twice = draw_stratified(["p"] * 4, [5, 6, 5, 6], shares)
    assert twice[:2].tolist() == twice[2:].tolist()
