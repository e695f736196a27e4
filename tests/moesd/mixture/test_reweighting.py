import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.images.intervention import Condition
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.reweighting import Reweighting, reweigh, reweighted

N = 600
HALF = torch.tensor([0.5, 0.5], dtype=torch.float64)
# Four standard deviations of a share of N draws: a sampler that is right leaves it once in 16,000.
BAND = 4 * 0.5 / N**0.5


def share_of_first(latents):
    return (latents > 0).double().mean().item()


@given(
    prior=st.floats(0.02, 0.98),
    target=st.floats(0.02, 0.98),
    log_ratio=st.floats(-8, 8),
)
def test_a_reweighted_posterior_is_the_one_that_the_target_as_prior_would_give(
    prior, target, log_ratio
):
    def posterior(share):
        ratio = torch.tensor(log_ratio, dtype=torch.float64).exp()
        first = share * ratio / (share * ratio + 1 - share)
        return torch.stack([first, 1 - first])[None]

    def pair(share):
        return torch.tensor([share, 1 - share], dtype=torch.float64)

    found = reweigh(posterior(prior), pair(prior), pair(target))
    torch.testing.assert_close(found, posterior(target), atol=1e-12, rtol=1e-9)


def stated(exact, *shares):
    """States of the counterfactuals, (K, n_prompts, 1, 1)."""
    return torch.stack([of.tensors["prompt_embeds"] for of in exact.states(*shares)[1]])


def test_a_model_that_leans_draws_the_target_once_it_is_reweighted(exact):
    assert abs(share_of_first(exact.draw(0.9, N)) - 0.9) < BAND
    counterfactuals = stated(exact, *[0.9] * N)
    prior = torch.tensor([[0.9, 0.1]], dtype=torch.float64).expand(N, 2)
    with reweighted(exact.unet, list(range(-N, 0)), counterfactuals, prior, HALF, end=0.0):
        latents = exact.draw(0.9, N)
    assert abs(share_of_first(latents) - 0.5) < BAND
    assert (latents.abs() - exact.unet.mean).abs().mean() < 2 * exact.unet.spread
    assert not exact.unet._forward_hooks


def test_a_target_that_is_the_prior_changes_no_latents(exact):
    counterfactuals = stated(exact, *[0.7] * 20)
    prior = torch.tensor([[0.7, 0.3]], dtype=torch.float64).expand(20, 2)
    with reweighted(exact.unet, list(range(-20, 0)), counterfactuals, prior, prior[0], end=0.0):
        latents = exact.draw(0.7, 20)
    torch.testing.assert_close(latents, exact.draw(0.7, 20), atol=1e-9, rtol=0)


def test_rows_that_are_not_named_stay_as_they_are_bit_for_bit(exact):
    plain = exact.draw(0.9, 10)
    counterfactuals = stated(exact, 0.9)
    prior = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    with reweighted(exact.unet, [-1], counterfactuals, prior, HALF, end=0.0):
        latents = exact.draw(0.9, 10)
    assert torch.equal(latents[:-1], plain[:-1])
    assert latents[-1] != plain[-1]


@pytest.mark.slow
def test_with_guidance_only_the_prompted_half_of_opened_prompts_is_moved(moesd, pipeline):
    method = Reweighting(moesd, Counterfactuals(), np.array([0.9, 0.1]), n_noises=2)
    prompts = ["a photo of a carpenter", "a photo of a nurse", "a driver", "a laborer"]
    opened = next(iter(moesd.opened(prompts)))
    [condition] = method.conditions([opened], [1])
    under = [Condition("a photo of a man"), condition]
    states = moesd.encoder.states([under[0].prompt, opened]).repeat(2, 1, 1)
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    def predict(time):
        return pipeline.unet(latents, time, encoder_hidden_states=states, return_dict=False)[0]

    with torch.no_grad():
        plain_early, plain_late = predict(900), predict(100)
        with method.denoising(pipeline, under):
            early, late = predict(900), predict(100)
    assert torch.equal(early[:3], plain_early[:3])
    assert not torch.equal(early[3], plain_early[3])
    assert torch.equal(late, plain_late)
    assert [bool(method.signature(of)) for of in under] == [False, True]


def test_a_target_of_another_number_of_shares_is_refused(moesd):
    with pytest.raises(ValueError, match="the target has 3 shares"):
        Reweighting(moesd, Counterfactuals(), np.ones(3) / 3)
