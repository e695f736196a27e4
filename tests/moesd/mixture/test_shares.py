from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from probe.errors import ShapeError
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
from probe.moesd.mixture.reweighting import reweigh_prediction
from probe.moesd.mixture.shares import (
    MAX_STRENGTH,
    calibrate_strengths,
    estimate_shares,
    mixture_weights,
)
from probe.moesd.router import guidance_law
from probe.stats.share_shift import ShareShift

PULL = 0.4  # by which an expert at weight 1 moves a share


def test_at_pure_noise_the_weight_is_the_share_itself(exact):
    planted = [0.0, 0.02, 0.31, 0.5, 0.97, 1.0]
    read = estimate_shares(image_model(exact), *exact.states(*planted), n_noises=8)
    np.testing.assert_allclose(read.shares[:, 0], planted, atol=1e-6)
    np.testing.assert_allclose(read.shares.sum(axis=1), 1.0)


def test_a_share_of_one_half_explains_nothing_of_a_lean_and_others_all_of_it(exact):
    read = estimate_shares(image_model(exact), *exact.states(0.8, 0.5), n_noises=8)
    np.testing.assert_allclose(read.explained[0], 1.0, atol=1e-9)
    assert (read.sensitivity > 1).all()


def test_counterfactuals_that_the_model_does_not_tell_apart_give_equal_shares_and_are_seen(exact):
    states, _ = exact.states(0.9)
    read = estimate_shares(image_model(exact), states, [states, states], n_noises=4)
    assert read.shares.tolist() == [[0.5, 0.5]]
    assert read.sensitivity.tolist() == [0.0]


def test_counterfactuals_of_other_prompts_are_refused(exact):
    states, _ = exact.states(0.9, 0.1)
    with pytest.raises(ShapeError, match="of 2 or more values"):
        estimate_shares(image_model(exact), states, [states])


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
def test_the_law_of_guidance_multiplies_the_log_odds(share, scale):
    [[first, second]] = guidance_law(scale).apply(np.array([[share, 1 - share]]))
    expected = scale * np.log(share / (1 - share))
    np.testing.assert_allclose(np.log(first / second), expected, rtol=1e-9, atol=1e-9)
    assert guidance_law(0.0) == ShareShift()


def pulled(shares):
    """Experts of the exact world: each moves the share by its weight."""
    start = torch.tensor(shares, dtype=torch.float64)

    def move(weights):
        moved = start + PULL * (weights[:, 0] - weights[:, 1])
        return Conditions({"prompt_embeds": moved.clamp(0, 1).reshape(-1, 1, 1)})

    return move


def test_the_strength_is_the_one_that_brings_the_share_to_the_target(exact):
    shares, target = [0.9, 0.2, 0.55], np.array([0.5, 0.5, 0.3])
    _, counterfactuals = exact.states(*shares)
    found = calibrate_strengths(image_model(exact), pulled(shares), counterfactuals, target)
    expected = torch.tensor([[0.0, 1.0], [0.75, 0.0], [0.0, 0.625]])
    torch.testing.assert_close(found, expected, atol=MAX_STRENGTH / 2**8, rtol=0)


def test_pictures_drawn_at_that_strength_have_the_target_share(exact):
    _, counterfactuals = exact.states(0.9)
    move = pulled([0.9])
    found = calibrate_strengths(image_model(exact), move, counterfactuals, np.array([0.5]))
    assert (exact.draw(0.9, 600) > 0).double().mean() > 0.8
    drawn = exact.draw(float(move(found).tensors["prompt_embeds"]), 600)
    # Four standard deviations of a share of 600 draws.
    assert abs((drawn > 0).double().mean().item() - 0.5) < 4 * 0.5 / 600**0.5


def test_an_expert_that_cannot_reach_the_target_is_at_its_strongest(exact):
    _, counterfactuals = exact.states(0.1)
    found = calibrate_strengths(
        image_model(exact), pulled([0.1]), counterfactuals, np.array([0.95])
    )
    assert found[0, 0] == pytest.approx(MAX_STRENGTH, abs=0.01)


def test_counterfactuals_must_be_two_of_each_prompt(exact):
    _, counterfactuals = exact.states(0.9)
    with pytest.raises(ShapeError, match="needed"):
        calibrate_strengths(
            image_model(exact), pulled([0.9]), counterfactuals, np.array([0.5, 0.5])
        )


class NoDoubles(TorchDispatchMode):
    """A device without float64, such as MPS; the device meta stands for it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.device.type != "cpu":
                assert each.dtype != torch.float64, func
        return made


class StableDiffusionPipeline(SimpleNamespace):
    """Named as the class of its family."""


def test_devices_without_float64_suffice():
    def unet(latents, timestep, encoder_hidden_states):
        return SimpleNamespace(sample=latents + encoder_hidden_states.mean())

    config = SimpleNamespace(sample_size=2, in_channels=4, num_train_timesteps=10)
    unet.config = config
    pipeline = StableDiffusionPipeline(unet=unet, scheduler=SimpleNamespace(config=config))
    with FakeTensorMode(), NoDoubles():
        states = torch.randn(2, 3, 5, 6, device="meta")  # (K, n_prompts, n_tokens, n_features)
        words = [Conditions({"prompt_embeds": of}) for of in states]
        found = calibrate_strengths(
            image_model(pipeline),
            lambda weights: Conditions({"prompt_embeds": weights.to("meta").sum() * states[0]}),
            words,
            np.full(3, 0.5),
        )
        assert found.shape == (3, 2)
        latents = torch.randn(3, 3, 4, 2, 2, device="meta")
        even = torch.full((2,), 0.5, dtype=torch.float64)
        changed = reweigh_prediction(latents[0], latents[1:], even.expand(3, 2), even)
        assert changed.device.type == "meta"
