import json

import pytest
import torch
from click.testing import CliRunner

from cli.main import main
from probe.errors import ModelError
from probe.moesd.config import TrainConfig
from probe.moesd.plan import plan_training
from probe.moesd.plan.costs import measure_costs
from probe.moesd.unet_experts import UNetExperts

STABLE_DIFFUSION = {
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "act_fn": "silu",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": False,
        "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    },
    "text_encoder": {
        "architectures": ["CLIPTextModel"],
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "vocab_size": 49408,
    },
}
"""What the configuration files of Stable Diffusion v1.5 say, as far as shapes depend on it."""


def write_model(folder, parts):
    for name, config in parts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def stable_diffusion(tmp_path_factory):
    """A folder with its configuration and no weights."""
    return write_model(tmp_path_factory.mktemp("model"), STABLE_DIFFUSION)


@pytest.fixture(scope="module")
def plan(stable_diffusion):
    return plan_training(stable_diffusion)


def test_experts_of_stable_diffusion_stay_within_the_share_of_the_paper(plan):
    assert plan.frozen["unet"] == 859_520_964
    assert plan.frozen["text_encoder"] == 123_060_480
    assert (plan.n_sites, plan.unet_width, plan.n_experts) == (16, 640, 3)
    assert plan.trainable["unet_experts"] == 48_066_240  # 47,923,200 in the bottlenecks
    assert 0.0555 < plan.unet_share <= 0.0565
    assert plan.n_trainable == sum(plan.trainable.values())
    assert plan.total_share == plan.n_trainable / sum(plan.frozen.values())


def test_low_rank_experts_are_counted_as_they_are(pipeline_folder):
    config = TrainConfig(side="both", style="lora", width=5, unet_width=3)
    plan, (text_width, unet_width) = plan_training(pipeline_folder, config), (32, 16)
    assert plan.trainable["text_experts"] == 2 * 2 * text_width * 5
    assert plan.trainable["unet_experts"] == 3 * 2 * unet_width * 3 * plan.n_sites


@pytest.mark.slow
def test_the_model_is_known_by_its_name_alone(plan):
    named = plan_training("stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert named.trainable == plan.trainable
    assert named.frozen == {**plan.frozen, "vae": 83_653_863}
    assert (named.flops_forward, named.flops_backward) == (plan.flops_forward, plan.flops_backward)


def test_memory_grows_by_the_same_amount_with_every_picture(plan):
    by_batch = {row.batch_size: row for row in plan.memory}
    one, four, sixteen = (by_batch[n].gigabytes for n in (1, 4, 16))
    assert (sixteen - four) / 12 == pytest.approx((four - one) / 3)
    weights = 4 * sum(plan.frozen.values()) + 16 * (plan.n_trainable - plan.trainable["gate"])
    assert one - (four - one) / 3 == pytest.approx(weights / 1e9)
    assert all(row.gigabytes_checkpointed < row.gigabytes for row in plan.memory)
    assert one < 14


def test_operations_of_a_small_network_are_those_that_are_written_down():
    """One cross-attention and what is around it, counted by hand."""
    from diffusers import UNet2DConditionModel

    n, size, n_text, n_tokens = 8, 4, 16, 77
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=size, in_channels=4, out_channels=4, block_out_channels=(n,),
            down_block_types=("CrossAttnDownBlock2D",), up_block_types=("UpBlock2D",),
            mid_block_type=None, layers_per_block=1, cross_attention_dim=n_text,
            attention_head_dim=2, norm_num_groups=4,
        ).requires_grad_(False)  # fmt: skip
    without = measure_costs(unet, None, latent_size=size)
    with torch.device("meta"):
        experts = UNetExperts.start(unet, width=3, n_experts=2)
    with_one = measure_costs(unet, experts, latent_size=size)
    pixels = size**2
    assert with_one.forward_flops - without.forward_flops == 2 * (2 * pixels * n * 3)
    assert with_one.backward_flops > without.backward_flops
    assert n_tokens * n_text < without.forward_flops


def test_activations_are_those_that_autograd_keeps_of_real_tensors(pipeline_folder):
    from probe.images.pipelines import load_pipeline

    unet = load_pipeline(pipeline_folder).unet.requires_grad_(False)
    experts = UNetExperts.start(unet, width=4)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    from probe.moesd.unet_routing import RoutedUNet

    weights = {
        weight.untyped_storage().data_ptr()
        for module in (unet, experts)
        for weight in module.parameters()
    }
    states = torch.randn(1, 77, 32, requires_grad=True)
    with RoutedUNet(unet, experts) as routed, torch.autograd.graph.saved_tensors_hooks(keep, keep):
        routed.set_routes([experts.names[-1]])
        unet(torch.randn(1, 4, 8, 8), torch.tensor([5]), states)
    real = sum(
        tensor.untyped_storage().nbytes()
        for storage, tensor in kept.items()
        if storage not in weights
    )
    with torch.device("meta"):
        empty = type(unet).from_config(unet.config).requires_grad_(False)
        shapes = UNetExperts.start(empty, width=4)
    told = measure_costs(empty, shapes, latent_size=8).activation_bytes
    assert told == pytest.approx(real, rel=0.05)  # kernels keep a few numbers for each row besides


@pytest.mark.slow
def test_a_wider_bottleneck_costs_in_proportion(stable_diffusion, plan):
    half = plan_training(stable_diffusion, TrainConfig(side="unet", unet_width=320))
    n_sites, n_experts = 16, 3
    outside = n_experts * 3 * 12_480  # norms, and the biases of `up`
    per_width = n_experts * (2 * 12_480 + n_sites)
    assert half.trainable["unet_experts"] == outside + 320 * per_width
    assert plan.trainable["unet_experts"] == outside + 640 * per_width
    assert half.trainable["text_experts"] == 0


def test_the_command_prints_what_the_library_says(stable_diffusion, plan):
    result = CliRunner().invoke(main, ["plan", "--model", str(stable_diffusion), "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["unet_share"] == plan.unet_share
    assert said["n_trainable"] == plan.n_trainable
    assert said["trainable"] == plan.trainable
    assert {row["batch_size"] for row in said["memory"]} == {1, 4, 16, plan.batch_size}
    text = CliRunner().invoke(main, ["plan", "--model", "tinytown", "--side", "text"]).stdout
    assert "in the U-Net 0.00%" in text


def test_a_model_without_a_unet_is_refused(tmp_path):
    folder = write_model(tmp_path / "a", {"text_encoder": STABLE_DIFFUSION["text_encoder"]})
    with pytest.raises(ModelError, match=r"has no unet/config\.json; needed"):
        plan_training(folder)
    with pytest.raises(ModelError, match="unknown model"):
        plan_training("nosuch")
