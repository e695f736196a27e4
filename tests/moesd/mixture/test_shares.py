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
    calibrate_weights,
    estimate_shares,
    mixture_weights,
)
from probe.moesd.router import guidance_law
from probe.stats.share_shift import ShareShift

HALF = np.full(2, 0.5)
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


def pulled(share):
    """Experts of the exact world: each moves the share by its weight."""

    def move(weights):
        moved = share + PULL * (weights[:, 0] - weights[:, 1])
        states = torch.from_numpy(moved).clamp(0, 1).reshape(-1, 1, 1)
        return Conditions({"prompt_embeds": states})

    return move


@pytest.mark.parametrize(
    ("share", "target", "expected"),
    [(0.9, 0.5, [0, 1]), (0.2, 0.5, [0.75, 0]), (0.55, 0.3, [0, 0.625]), (0.4, 0.4, [0, 0])],
)
def test_the_weights_are_those_that_bring_the_share_to_the_target(exact, share, target, expected):
    _, counterfactuals = exact.states(share)
    wanted = np.array([target, 1 - target])
    found = calibrate_weights(image_model(exact), pulled(share), counterfactuals, wanted)
    np.testing.assert_allclose(found, expected, atol=0.005)


def test_pictures_drawn_at_these_weights_have_the_target_share(exact):
    _, counterfactuals = exact.states(0.9)
    move = pulled(0.9)
    found = calibrate_weights(image_model(exact), move, counterfactuals, np.array([0.5, 0.5]))
    assert (exact.draw(0.9, 600) > 0).double().mean() > 0.8
    drawn = exact.draw(float(move(found[None]).tensors["prompt_embeds"]), 600)
    # Four standard deviations of a share of 600 draws.
    assert abs((drawn > 0).double().mean().item() - 0.5) < 4 * 0.5 / 600**0.5


def test_an_expert_that_cannot_reach_the_target_is_at_its_strongest(exact):
    _, counterfactuals = exact.states(0.1)
    wanted = np.array([0.95, 0.05])
    found = calibrate_weights(image_model(exact), pulled(0.1), counterfactuals, wanted)
    np.testing.assert_allclose(found, [MAX_STRENGTH, 0])


def test_counterfactuals_must_be_of_each_value_of_one_prompt(exact):
    _, counterfactuals = exact.states(0.9)
    for wanted, others in ((np.full(3, 1 / 3), counterfactuals), (HALF, exact.states(0.9, 0.5)[1])):
        with pytest.raises(ShapeError, match="needed 1 of each of"):
            calibrate_weights(image_model(exact), pulled(0.9), others, wanted)


def mixing(n_values):
    """An image model whose predictions are mixtures: states are the shares, (n, 1, n_values)."""

    def unet(latents, timestep, encoder_hidden_states):
        return SimpleNamespace(sample=latents + encoder_hidden_states.reshape(-1, n_values, 1, 1))

    unet.config = SimpleNamespace(sample_size=1, in_channels=n_values, num_train_timesteps=10)
    given = {"unet": unet, "scheduler": SimpleNamespace(config=unet.config)}
    explicit = torch.eye(n_values, dtype=torch.float64)[:, None, None]
    return image_model(StableDiffusionPipeline(**given)), [
        Conditions({"prompt_embeds": of}) for of in explicit
    ]


@pytest.mark.parametrize("n_values", [3, 4, 8])
def test_of_several_values_each_expert_that_is_lacking_gets_its_weight(n_values):
    """Experts that move shares by a softmax: the more, the less follows."""
    model, explicit = mixing(n_values)
    logits = np.linspace(1.0, -1.0, n_values)

    asked = []

    def move(weights):
        asked.extend(weights)
        moved = torch.from_numpy(logits + 2 * weights).softmax(dim=1)
        return Conditions({"prompt_embeds": moved[:, None]})

    target = np.full(n_values, 1 / n_values)
    found = calibrate_weights(model, move, explicit, target)
    assert len(asked) <= n_values + 1 + 7
    shares = move(found[None]).tensors["prompt_embeds"][0, 0].numpy()
    np.testing.assert_allclose(shares, target, atol=0.01)
    assert (np.diff(found) > 0).all()  # the rarer a value, the stronger its expert
    assert found[0] < 0.02  # and the commonest value needs none


def test_what_no_weights_reach_is_come_near_to():
    model, explicit = mixing(3)

    def move(weights):  # the second expert does nothing
        moved = np.array([1.0, 0.0, 0.0]) + 0.5 * weights[:, 2:] * np.array([-1.0, 0.0, 1.0])
        return Conditions({"prompt_embeds": torch.from_numpy(moved)[:, None]})

    found = calibrate_weights(model, move, explicit, np.full(3, 1 / 3))
    np.testing.assert_allclose(found, [0, 0, 1], atol=0.01)


class StableDiffusionPipeline(SimpleNamespace):
    """Named as the class of its family."""


class Single(torch.Tensor):
    """A tensor on a device without float64, such as MPS."""

    def double(self):
        raise TypeError("no float64 here")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_devices_without_float64_suffice_to_calibrate():
    model, explicit = mixing(2)
    unet = model.pipeline.unet
    given = Conditions({name: of.float() for name, of in explicit[0].tensors.items()})

    def on_device(latents, timestep, encoder_hidden_states):
        return SimpleNamespace(
            sample=unet(latents, timestep, encoder_hidden_states).sample.as_subclass(Single)
        )

    on_device.config = unet.config
    model.pipeline.unet = on_device
    words = [Conditions({"prompt_embeds": of.tensors["prompt_embeds"].float()}) for of in explicit]
    found = calibrate_weights(model, lambda weights: given.expand(len(weights)), words, HALF)
    assert found.tolist() == [0, 0]  # the experts do nothing


class NoDoubles(TorchDispatchMode):
    """The device meta as one without float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.device.type != "cpu":
                assert each.dtype != torch.float64, func
        return made


def test_devices_without_float64_suffice_to_reweigh():
    with FakeTensorMode(), NoDoubles():
        latents = torch.randn(3, 3, 4, 2, 2, device="meta")
        even = torch.full((2,), 0.5, dtype=torch.float64)
        changed = reweigh_prediction(latents[0], latents[1:], even.expand(3, 2), even)
        assert changed.device.type == "meta"
