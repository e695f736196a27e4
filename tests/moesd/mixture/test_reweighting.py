import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.moesd.mixture.reweighting import reweigh, reweighted

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


def test_a_model_that_leans_draws_the_target_once_it_is_reweighted(exact):
    assert abs(share_of_first(exact.draw(0.9, N)) - 0.9) < BAND
    _, twins = exact.states(*[0.9] * N)
    prior = torch.tensor([[0.9, 0.1]], dtype=torch.float64).expand(N, 2)
    with reweighted(exact.unet, list(range(-N, 0)), twins, prior, HALF, end=0.0):
        latents = exact.draw(0.9, N)
    assert abs(share_of_first(latents) - 0.5) < BAND
    assert (latents.abs() - exact.unet.mean).abs().mean() < 2 * exact.unet.spread
    assert not exact.unet._forward_hooks


def test_a_target_that_is_the_prior_changes_no_latents(exact):
    _, twins = exact.states(*[0.7] * 20)
    prior = torch.tensor([[0.7, 0.3]], dtype=torch.float64).expand(20, 2)
    with reweighted(exact.unet, list(range(-20, 0)), twins, prior, prior[0], end=0.0):
        latents = exact.draw(0.7, 20)
    torch.testing.assert_close(latents, exact.draw(0.7, 20), atol=1e-9, rtol=0)


def test_rows_that_are_not_named_stay_as_they_are_bit_for_bit(exact):
    plain = exact.draw(0.9, 10)
    _, twins = exact.states(0.9)
    prior = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    with reweighted(exact.unet, [-1], twins, prior, HALF, end=0.0):
        latents = exact.draw(0.9, 10)
    assert torch.equal(latents[:-1], plain[:-1])
    assert latents[-1] != plain[-1]


def test_the_hook_is_removed_when_the_denoiser_fails(exact):
    _, twins = exact.states(0.9)
    with (
        pytest.raises(RuntimeError),
        reweighted(exact.unet, [-1], twins, HALF[None], HALF, end=0.0),
    ):
        raise RuntimeError
    assert not exact.unet._forward_hooks
