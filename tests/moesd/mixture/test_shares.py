import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import ShapeError
from probe.moesd.mixture.shares import estimate_shares, guided, mixture_weights


def test_at_pure_noise_the_weight_is_the_share_itself(exact):
    planted = [0.0, 0.02, 0.31, 0.5, 0.97, 1.0]
    read = estimate_shares(exact, *exact.states(*planted), n_noises=8)
    np.testing.assert_allclose(read.shares[:, 0], planted, atol=1e-6)
    np.testing.assert_allclose(read.shares.sum(axis=1), 1.0)


def test_a_share_of_one_half_explains_nothing_of_a_lean_and_others_all_of_it(exact):
    read = estimate_shares(exact, *exact.states(0.8, 0.5), n_noises=8)
    np.testing.assert_allclose(read.explained[0], 1.0, atol=1e-9)
    assert (read.sensitivity > 1).all()


def test_counterfactuals_that_the_model_does_not_tell_apart_give_equal_shares_and_are_seen(exact):
    states, _ = exact.states(0.9)
    read = estimate_shares(exact, states, torch.stack([states, states]), n_noises=4)
    assert read.shares.tolist() == [[0.5, 0.5]]
    assert read.sensitivity.tolist() == [0.0]


def test_counterfactuals_of_other_prompts_are_refused(exact):
    states, _ = exact.states(0.9, 0.1)
    with pytest.raises(ShapeError, match=r"needed counterfactuals of shape \(K, \*states.shape\)"):
        estimate_shares(exact, states, states[None])


@given(
    seed=st.integers(0, 2**31),
    shares=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5),
)
def test_a_mixture_of_any_number_of_parts_gives_its_weights_back(seed, shares):
    rng = np.random.default_rng(seed)
    weights = torch.tensor(shares, dtype=torch.float64)
    weights = weights / weights.sum()
    parts = torch.from_numpy(rng.normal(size=(len(shares), 1, 40)))
    basis = torch.linalg.qr((parts[:-1, 0] - parts[-1, 0]).T).Q
    across = torch.from_numpy(rng.normal(size=40))
    across = across - basis @ (basis.T @ across)  # what no part explains changes nothing
    mixture = torch.einsum("k,krn->rn", weights, parts) + across
    found = mixture_weights(mixture, parts)
    torch.testing.assert_close(found, weights[None], atol=1e-8, rtol=0)


def test_weights_beyond_the_parts_end_at_the_nearest_one():
    parts = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    beyond = torch.tensor([[1.4, 0.0], [-0.2, 0.0]])
    found = mixture_weights(beyond, parts.expand(2, 2, 2))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


@given(st.floats(0.001, 0.999), st.floats(1.0, 10.0))
def test_guidance_multiplies_the_log_odds(share, scale):
    [[first, second]] = guided(np.array([[share, 1 - share]]), scale)
    expected = scale * np.log(share / (1 - share))
    np.testing.assert_allclose(np.log(first / second), expected, rtol=1e-9, atol=1e-9)


def test_no_guidance_changes_no_share():
    shares = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(guided(shares, 1.0), shares)
    np.testing.assert_allclose(guided(shares, 0.0), shares)
