import pytest
import torch

from probe.errors import ModelError, ShapeError
from probe.images.pipelines import load_pipeline
from probe.images.shapes import Shapes
from probe.moesd.unet_experts import BASE, RoutedUNet, UNetExperts, cross_attentions

FEMALE, MALE = "toward-female", "toward-male"


@pytest.fixture(scope="module")
def stable_diffusion():
    """The U-Net of Stable Diffusion v1.5, without weights."""
    return Shapes.read("stable-diffusion-v1-5/stable-diffusion-v1-5").build("unet")


def moved(experts, seed=0):
    """The same experts, none of them the identity."""
    random = torch.Generator().manual_seed(seed)
    for name, weight in experts.named_parameters():
        if ".up." in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=random)
    return experts.requires_grad_(False)


def denoise(pipeline, n=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn(n, 4, 8, 8, generator=random)
    states = torch.randn(n, 5, 32, generator=random)
    with torch.no_grad():
        return pipeline.unet(latents, 500, states).sample


@pytest.mark.parametrize(
    ("n", "names", "routes"),
    [
        (1, (BASE,), [BASE, BASE]),
        (2, (FEMALE, MALE), [FEMALE, MALE]),
        (3, (BASE, FEMALE, MALE), [FEMALE, MALE]),
    ],
)
def test_each_direction_has_an_expert_unless_both_share_one(pipeline, n, names, routes):
    experts = UNetExperts.start(pipeline.unet, width=2, n_experts=n)
    assert experts.names == names
    assert [experts.route(chosen) for chosen in (0, 1)] == routes


# What passes them


def test_new_experts_are_the_identity(pipeline):
    plain = denoise(pipeline)
    with RoutedUNet(pipeline.unet, UNetExperts.start(pipeline.unet)) as routed:
        routed.set_routes([FEMALE, MALE, "", FEMALE])
        torch.testing.assert_close(denoise(pipeline), plain, rtol=0, atol=0)


def test_only_pictures_with_a_route_change_and_each_as_it_would_alone(pipeline):
    experts = moved(UNetExperts.start(pipeline.unet))
    plain = denoise(pipeline)
    with RoutedUNet(pipeline.unet, experts) as routed:
        routed.set_routes(["", FEMALE, MALE, ""])
        mixed = denoise(pipeline)
        alone = {}
        for route in (FEMALE, MALE):
            routed.set_routes([route] * 4)
            alone[route] = denoise(pipeline)
    torch.testing.assert_close(mixed[[0, 3]], plain[[0, 3]], rtol=0, atol=0)
    torch.testing.assert_close(mixed[1], alone[FEMALE][1])
    torch.testing.assert_close(mixed[2], alone[MALE][2])
    assert (alone[FEMALE] - alone[MALE]).abs().amax() > 1e-3
    assert (mixed[1:3] - plain[1:3]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_the_half_of_a_guided_batch_without_the_prompt_stays_bit_for_bit(pipeline):
    plain = denoise(pipeline, 4)
    with RoutedUNet(pipeline.unet, moved(UNetExperts.start(pipeline.unet))) as routed:
        routed.set_routes([FEMALE, MALE])
        guided = denoise(pipeline, 4)
    torch.testing.assert_close(guided[:2], plain[:2], rtol=0, atol=0)
    assert (guided[2:] - plain[2:]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_the_shared_expert_is_passed_by_both_directions_and_by_no_other_picture(pipeline):
    experts = UNetExperts.start(pipeline.unet)
    shared = moved(UNetExperts.start(pipeline.unet)).adapters[BASE]
    experts.adapters[BASE].load_state_dict(shared.state_dict())
    plain = denoise(pipeline, 3)
    with RoutedUNet(pipeline.unet, experts) as routed:
        routed.set_routes([FEMALE, MALE, ""])
        change = (denoise(pipeline, 3) - plain).abs().amax(dim=(1, 2, 3))
    assert (change > 0).tolist() == [True, True, False]


def test_gradients_reach_the_experts_through_a_checkpointed_unet(pipeline_folder):
    unet = load_pipeline(pipeline_folder).unet.requires_grad_(False).train()
    experts = UNetExperts.start(unet)
    inputs = torch.randn(2, 4, 8, 8), 500, torch.randn(2, 5, 32)
    gradients = []
    for is_checkpointed in (False, True):
        if is_checkpointed:
            unet.enable_gradient_checkpointing()
        experts.zero_grad()
        with RoutedUNet(unet, experts) as routed:
            routed.set_routes([FEMALE, ""])
            unet(*inputs).sample.square().sum().backward()
        gradients.append(
            {name: w.grad for name, w in experts.named_parameters() if w.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    assert {name.split(".")[1] for name in gradients[0]} == {BASE, FEMALE}
    assert max(gradient.abs().max() for gradient in gradients[0].values()) > 0
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


# What is refused


def test_experts_of_another_unet_are_refused_with_both_shapes(pipeline, stable_diffusion):
    experts = UNetExperts.start(pipeline.unet)
    with pytest.raises(ModelError, match=r"attentions of widths 8, 16|16 attentions"):
        RoutedUNet(stable_diffusion, experts)
    assert not any(module._forward_hooks for module in stable_diffusion.modules())


def test_a_network_without_cross_attention_is_refused(pipeline):
    with pytest.raises(ModelError, match="has no attention to the text"):
        cross_attentions(pipeline.vae)


def test_an_unknown_route_and_a_batch_of_another_size_are_refused(pipeline):
    with RoutedUNet(pipeline.unet, UNetExperts.start(pipeline.unet)) as routed:
        with pytest.raises(ValueError, match=r"no expert 'toward-nobody'.*toward-female"):
            routed.set_routes(["toward-nobody"])
        routed.set_routes([FEMALE] * 3)
        with pytest.raises(ShapeError, match="4 rows are denoised but 3 routes"):
            denoise(pipeline, 4)
