import pytest
import torch

from probe.moesd.experts import DIRECTIONS, Experts, n_weights


def test_experts_start_as_the_identity():
    states = torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(0))
    moved = Experts(16, width=3)(states, torch.tensor([1, 0, 1, 0]))
    torch.testing.assert_close(moved, states, rtol=0, atol=0)


def test_each_prompt_goes_to_one_expert_only():
    experts = Experts(16, width=3)
    torch.nn.init.constant_(experts.adapters["toward-male"].up.bias, 1.0)
    states = torch.zeros(3, 2, 16)
    moved = experts(states, torch.tensor([1, 0, 1]))
    torch.testing.assert_close(moved[[0, 2]], torch.ones(2, 2, 16))
    torch.testing.assert_close(moved[1], torch.zeros(2, 16))


def test_the_number_of_weights_is_that_of_two_bottlenecks():
    n, width = 16, 3
    one = 2 * n + (n * width + width) + (width * n + n)
    assert n_weights(Experts(n, width=width)) == len(DIRECTIONS) * one


def test_a_mixture_adds_the_shifts_by_their_weights():
    experts = Experts(8, width=2)
    for at, adapter in enumerate(experts.adapters.values()):
        torch.nn.init.constant_(adapter.up.bias, 1.0 + at)
    states = torch.zeros(3, 2, 8)
    mixed = experts.mix(states, torch.tensor([[0.5, 0.25], [0.0, 0.5], [0.0, 0.0]]))
    expected = torch.tensor([0.5 * 1 + 0.25 * 2, 0.5 * 2, 0.0])
    torch.testing.assert_close(mixed, expected[:, None, None].expand(3, 2, 8))


@pytest.mark.parametrize("style", ["adapter", "lora"])
def test_scaled_experts_add_as_much_less_and_others_the_same(style):
    experts, states = Experts(8, width=2, style=style), torch.randn(3, 2, 8)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight)
    before = [adapter.shift(states) for adapter in experts.adapters.values()]
    experts.scale(0.5, ["toward-male"])
    after = [adapter.shift(states) for adapter in experts.adapters.values()]
    assert torch.equal(after[0], before[0])
    torch.testing.assert_close(after[1], 0.5 * before[1])
