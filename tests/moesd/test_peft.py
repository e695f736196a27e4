"""Experts of style "lora" against PEFT's own layers: where they are the same, and where not."""

from functools import partial

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear, LoraLayer
from torch import nn

from probe.images.pipelines import load_pipeline
from probe.moesd.experts import DIRECTIONS, LowRankAdapter
from probe.moesd.unet_experts import RoutedUNet, UNetExperts

FEMALE, MALE = DIRECTIONS
RANK = 3
AFTER_CROSS_ATTENTION = r".*attn2\.to_out\.0"
ROUTES = [FEMALE, "", MALE, FEMALE]
pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")


@pytest.fixture
def unet(pipeline_folder):
    return load_pipeline(pipeline_folder).unet


@pytest.fixture
def experts(unet):
    made = UNetExperts.start(unet, width=RANK, n_experts=2, style="lora")
    random = torch.Generator().manual_seed(1)
    for weight in made.parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=random)
    return made.requires_grad_(False)


@torch.no_grad()
def become(lora, name, expert):
    """Give PEFT's adapter of a layer ``Wx + b`` the weights ``AW`` and ``B`` and bias ``BAb``."""
    layer, a, b = lora.base_layer, expert.down.weight, expert.up.weight
    lora.lora_A[name].weight.copy_(a @ layer.weight)
    lora.lora_B[name].weight.copy_(b)
    lora.lora_B[name].bias.copy_(b @ a @ layer.bias)


def test_a_low_rank_expert_after_a_layer_is_the_lora_of_that_layer():
    torch.manual_seed(0)
    layer, expert, x = nn.Linear(5, 7), LowRankAdapter(7, RANK), torch.randn(4, 5)
    nn.init.normal_(expert.up.weight)
    expected = expert(layer(x))
    config = LoraConfig(r=RANK, lora_alpha=RANK, lora_bias=True)
    lora = Linear(layer, "one", config, r=RANK, lora_alpha=RANK)
    become(lora, "one", expert)
    assert (expected - layer(x)).abs().max() > 0.1
    torch.testing.assert_close(lora(x), expected)


def with_peft(unet, experts):
    """Put the same experts into a U-Net as PEFT's adapters."""
    config = LoraConfig(
        r=RANK, lora_alpha=RANK, lora_bias=True, target_modules=AFTER_CROSS_ATTENTION
    )
    for name in DIRECTIONS:
        unet.add_adapter(config, adapter_name=name)
    for site in experts.sites:
        layer = unet.get_submodule(site).to_out[0]
        for name in DIRECTIONS:
            become(layer, name, experts.adapters[name][site.replace(".", "-")])


def mixed(module, args, kwargs, *, names):
    """What PEFT's ``LoraModel`` puts before each of its layers, for a batch of several adapters."""
    return args, {**kwargs, "adapter_names": names}


@torch.no_grad()
def denoise(unet, names=None):
    random = torch.Generator().manual_seed(2)
    inputs = torch.randn(4, 4, 8, 8, generator=random), 500, torch.randn(4, 5, 32, generator=random)
    handles = [
        module.register_forward_pre_hook(partial(mixed, names=names), with_kwargs=True)
        for module in unet.modules()
        if names is not None and isinstance(module, LoraLayer)
    ]
    try:
        return unet(*inputs).sample
    finally:
        for handle in handles:
            handle.remove()


def denoise_routed(unet, experts):
    with RoutedUNet(unet, experts) as routed:
        routed.set_routes(ROUTES)
        return denoise(unet)


def test_routed_low_rank_experts_are_a_mixed_batch_of_peft(unet, experts):
    plain, ours = denoise(unet), denoise_routed(unet, experts)
    with_peft(unet, experts)
    theirs = denoise(unet, [route or "__base__" for route in ROUTES])
    assert (theirs - plain).abs().amax(dim=(1, 2, 3)).gt(1e-2).tolist() == [True, False, True, True]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mixed_batch_of_peft_leaves_out_every_other_lora_and_ours_does_not(unet, experts):
    torch.manual_seed(3)
    plain = denoise(unet)
    style = LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_out.0"])
    unet.add_adapter(style, adapter_name="style")
    styled, ours = denoise(unet), denoise_routed(unet, experts)
    with_peft(unet, experts)
    unet.set_adapters(["style"])
    theirs = denoise(unet, [route or "__base__" for route in ROUTES])
    assert (styled - plain).abs().amax() > 1e-2
    torch.testing.assert_close(theirs[1], plain[1])  # the style is gone where no expert is passed
    torch.testing.assert_close(ours[1], styled[1], rtol=0, atol=0)  # and here it stays
