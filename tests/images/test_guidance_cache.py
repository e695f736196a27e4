import copy

import pytest
import torch

from probe.images.guidance_cache import guidance_cache, halved, remembered
from probe.images.models.lookup import image_model

N = 16  # pictures; torch takes other kernels for fewer


@pytest.fixture(scope="module")
def inputs(pipeline):
    """What the U-Net sees of a guided batch."""
    empty, said = (
        of.tensors["prompt_embeds"]
        for of in image_model(pipeline).encode(["", "a photo of a cook"])
    )
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(N, 4, 8, 8, generator=generator)
    states = torch.cat([empty.expand(N, -1, -1), said.expand(N, -1, -1)]).detach()
    return torch.cat([latents, latents]), states


@torch.no_grad()
def predict(unet, sample, states, step):
    return unet(sample, torch.tensor(step), encoder_hidden_states=states, return_dict=False)[0]


def shadowed(unet):
    return [name for name, module in unet.named_modules() if "forward" in vars(module)]


def test_predictions_are_those_of_the_plain_unet_at_every_step_and_for_other_words(
    pipeline, inputs
):
    sample, states = inputs
    other = states.flip(0)
    calls = [(sample, states, 900), (sample + 1, states, 500), (sample, other, 500)]
    plain = [predict(pipeline.unet, *call) for call in calls]
    assert not torch.equal(plain[1], plain[2])
    with guidance_cache(pipeline.unet):
        once = [predict(pipeline.unet, *call) for call in calls]
    for ours, theirs in zip(once, plain, strict=True):
        # Equal to the last bit where this was measured; other processors may have other kernels.
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_unet_is_given_back_as_it_was_even_after_an_error(pipeline):
    with guidance_cache(pipeline.unet):
        names = shadowed(pipeline.unet)
    assert "conv_in" in names
    assert "down_blocks.0" in names  # no cross-attention is in it
    assert any(name.endswith("attn2.to_k") for name in names)
    assert shadowed(pipeline.unet) == []
    with pytest.raises(ZeroDivisionError), guidance_cache(pipeline.unet):
        1 / 0  # noqa: B018
    assert shadowed(pipeline.unet) == []


def test_a_hooked_module_is_left_alone(pipeline):
    unet = copy.deepcopy(pipeline.unet)
    site = next(name for name, _ in unet.named_modules() if name.endswith("attn2.to_k"))
    unet.get_submodule(site).register_forward_hook(lambda module, inputs, output: 2 * output)
    unet.down_blocks[0].resnets[0].register_forward_pre_hook(lambda module, inputs: None)
    with guidance_cache(unet):
        names = shadowed(unet)
    assert "conv_in" in names
    assert not {site, "down_blocks.0"} & set(names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the import of the compiler
def test_a_compiled_unet_is_left_alone(pipeline):
    unet = copy.deepcopy(pipeline.unet)
    unet.compile()  # it compiles when it is called
    with guidance_cache(unet):
        assert shadowed(unet) == []


def test_equal_halves_are_computed_once_whatever_comes_with_them():
    seen = []

    def double(hidden, temb=None):
        seen.append(len(hidden))
        return 2 * hidden, (hidden + temb, None)

    rows = torch.arange(N).float()
    twice = torch.cat([rows, rows])
    first, (second, third) = halved(double)(twice, temb=twice)
    assert seen == [N]
    assert torch.equal(first, 2 * twice)
    assert torch.equal(second, 2 * twice)
    assert third is None
    halved(double)(twice, temb=torch.arange(2 * N))  # halves of one argument differ
    halved(double)(twice[: N // 2].repeat(2), temb=twice[: N // 2].repeat(2))  # too few rows
    assert seen == [N, 2 * N, N]


def test_what_is_kept_is_given_for_the_same_unchanged_tensor_alone():
    seen = []

    def double(states):
        seen.append(states.clone())
        return 2 * states

    once, states = remembered(double), torch.ones(3)
    for _ in range(3):
        assert torch.equal(once(states), 2 * states)
    assert len(seen) == 1
    once(states.clone())
    assert len(seen) == 2
    once(states)
    states += 1
    assert torch.equal(once(states), 2 * states)
    assert len(seen) == 4
