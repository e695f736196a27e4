import json
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from cli.main import main
from probe.errors import ModelError, OptionError
from probe.images.pipelines import load_pipeline
from probe.moesd.config import TrainConfig
from probe.moesd.objectives.shown import ShownValues, Teacher
from probe.moesd.plan import plan_training
from probe.moesd.plan.costs import measure_costs
from probe.moesd.unet_experts import RoutedUNet, UNetExperts
from probe.text.concepts import load_attributes

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Known from `probe/data/shapes.toml`."""


@pytest.fixture(scope="module")
def plan():
    return plan_training(STABLE_DIFFUSION, TrainConfig(objective="both", side="both"))


@pytest.mark.slow
def test_experts_of_stable_diffusion_stay_within_the_share_of_the_paper(plan):
    assert plan.frozen == {"unet": 859_520_964, "text_encoder": 123_060_480, "vae": 83_653_863}
    assert (plan.n_sites, plan.unet_width, plan.n_experts) == (16, 640, 3)
    assert plan.trainable["unet_experts"] == 48_066_240  # 6 * 12,480 * 640 in the bottlenecks
    assert 0.0555 < plan.unet_share <= 0.0565
    assert plan.n_trainable == sum(plan.trainable.values())
    assert plan.total_share == plan.n_trainable / sum(plan.frozen.values())


@pytest.mark.slow
def test_the_gate_and_the_training_are_those_of_train():
    """States of 768 features enter at three depths, as mean and maximum, beside three flags."""
    plan = plan_training(STABLE_DIFFUSION)
    assert plan.trainable["gate"] == 3 * (2 * 3 * 768 + 3 + 1)
    assert plan.side == TrainConfig().side
    assert CliRunner().invoke(main, ["plan", "--model", STABLE_DIFFUSION]).stdout == (
        plan.summary() + "\n"
    )


@pytest.mark.slow
def test_the_recipe_of_the_paper_has_no_teacher(plan):
    given = ["plan", "--model", STABLE_DIFFUSION, "--recipe", "paper", "--json"]
    paper = json.loads(CliRunner().invoke(main, given).stdout)
    assert paper["trainable"] == plan.trainable | {"text_experts": 0}
    assert paper["flops_step"] == plan.flops_step - plan.batch_size * plan.flops_forward


@pytest.mark.slow
@pytest.mark.parametrize("reads", ["words", "bias_score"])
def test_the_gate_is_counted_as_it_is_trained(town, pipeline_folder, reads):
    config = TrainConfig(objective="latent", latent_steps=1, width=4, gate_reads=reads)
    trained = town.train(config=config).gate.classifier
    n = trained.weights.size + trained.intercepts.size
    assert plan_training(pipeline_folder, config).trainable["gate"] == n


@pytest.mark.slow
def test_low_rank_experts_are_counted_as_they_are(pipeline_folder):
    config = TrainConfig(objective="both", side="both", style="lora", width=5, unet_width=3)
    plan, (text_width, unet_width) = plan_training(pipeline_folder, config), (32, 16)
    assert plan.trainable["text_experts"] == 2 * 2 * text_width * 5
    assert plan.trainable["unet_experts"] == 3 * 2 * unet_width * 3 * plan.n_sites


@pytest.mark.slow
def test_memory_grows_by_the_same_amount_with_every_picture(plan):
    by_batch = {row.batch_size: row for row in plan.memory}
    assert set(by_batch) == {1, 4, 16, plan.batch_size}
    one, four, sixteen = (by_batch[n].gigabytes for n in (1, 4, 16))
    assert (sixteen - four) / 12 == pytest.approx((four - one) / 3)
    weights = 4 * sum(plan.frozen.values()) + 16 * (plan.n_trainable - plan.trainable["gate"])
    assert one - (four - one) / 3 == pytest.approx(weights / 1e9)
    assert all(row.gigabytes_checkpointed < row.gigabytes for row in plan.memory)
    assert one < 14


def test_an_expert_adds_the_operations_of_its_two_matrices():
    from diffusers import UNet2DConditionModel

    n, size = 8, 4
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=size, in_channels=4, out_channels=4, block_out_channels=(n,),
            down_block_types=("CrossAttnDownBlock2D",), up_block_types=("UpBlock2D",),
            mid_block_type=None, layers_per_block=1, cross_attention_dim=16,
            attention_head_dim=2, norm_num_groups=4,
        ).requires_grad_(False)  # fmt: skip
    given = [torch.empty(1, 4, size, size), torch.empty(1, dtype=torch.long)]
    states = {"encoder_hidden_states": torch.empty(1, 77, 16)}
    without = measure_costs(unet, None, *given, **states)
    with torch.device("meta"):
        experts = UNetExperts.start(unet, width=3, n_experts=2)
    with_one = measure_costs(unet, experts, *given, **states)
    assert with_one.forward_flops - without.forward_flops == 2 * (2 * size**2 * n * 3)
    assert with_one.backward_flops > without.backward_flops


@pytest.mark.slow
def test_activations_are_those_that_autograd_keeps_of_real_tensors(pipeline_folder):
    unet = load_pipeline(pipeline_folder).unet.requires_grad_(False)
    experts = UNetExperts.start(unet, width=4)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

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
    given = torch.empty(1, 4, 8, 8), torch.empty(1, dtype=torch.long)
    told = measure_costs(empty, shapes, *given, encoder_hidden_states=states.detach())
    told = told.activation_bytes
    assert told == pytest.approx(real, rel=0.05)  # kernels keep a few numbers for each row besides


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "denoiser", "texts", "token"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", 2_567_463_684, 817_720_320, 768 + 1280),
        ("black-forest-labs/FLUX.1-dev", 11_901_408_320, 4_885_000_000, 768 + 4096),
        ("Efficient-Large-Model/Sana_1600M_1024px_diffusers", 1_604_000_000, 2_614_000_000, 2304),
    ],
)
def test_a_known_model_has_the_weights_of_its_checkpoint(model, denoiser, texts, token):
    every = TrainConfig(encoders="all")
    plan = plan_training(model, every, dtype="bfloat16", device=torch.device("cpu"))
    assert plan.trainable["token"] == token
    name = "unet" if "unet" in plan.frozen else "transformer"
    assert plan.frozen[name] == pytest.approx(denoiser, rel=1e-3)
    assert plan.frozen["text_encoder"] == pytest.approx(texts, rel=1e-3)
    assert plan.trainable["unet_experts"] == 0 < plan.trainable["text_experts"]
    by_offload, weights = plan.images.gigabytes, 2 * sum(plan.frozen.values()) / 1e9
    assert by_offload["sequential"] < by_offload["model"] < by_offload["none"]
    assert weights < by_offload["none"] < 1.5 * weights
    assert plan.images.resolution == 1024
    assert plan.images.seconds > 0
    paper = plan_training(model, TrainConfig(**TrainConfig.completed({"recipe": "paper"})))
    assert 0.05 < paper.unet_share <= 0.0565
    assert paper.flops_step > 0


def test_a_model_whose_costs_are_unknown_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has no model_index\.json; needed"):
        plan_training(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "CrayonPipeline"}')
    with pytest.raises(ModelError, match="is a CrayonPipeline with the parts ; needed a pipeline"):
        plan_training(tmp_path)
    with pytest.raises(OptionError, match="resolution is 100; needed one that the model takes"):
        plan_training(STABLE_DIFFUSION, resolution=100)
    with pytest.raises(ModelError, match="unknown model"):
        plan_training("nosuch")


@pytest.mark.slow
def test_what_a_classifier_teaches_is_planned(pipeline_folder):
    assert plan_training(pipeline_folder, TrainConfig()).teaching is None
    plain = plan_training(pipeline_folder, TrainConfig(attributes="age", shown_images=0))
    assert plain.teaching is None
    config = TrainConfig(attributes="gender,skin_tone", shown_images=100, batch_size=20, width=4)
    plan = plan_training(pipeline_folder, config)
    n_experts = 2 + 4 + 8
    of_gender = plan_training(pipeline_folder, TrainConfig(width=4)).trainable["text_experts"]
    assert plan.trainable["text_experts"] == n_experts * of_gender // 2
    of = plan.teaching
    assert (of.memory.batch_size, of.n_steps) == (20, 100 * n_experts // 2 // 20)
    assert 0 < of.memory.gigabytes_checkpointed < of.memory.gigabytes / 3
    assert f"a classifier teaches the experts: {of.n_steps} steps of 20 images" in plan.summary()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_memory_of_a_teaching_is_what_autograd_saves(town, pipeline_folder):
    config = TrainConfig(attributes="age", latent_steps=1, shown_images=1, gate_reads="bias_score")
    moesd = town.train(config=config, attributes=load_attributes("age"))
    moesd.experts.requires_grad_(True)
    pipeline, ages = load_pipeline(pipeline_folder), ["young", "middle-aged", "old"]
    known = {"age": ages, "subject": ["nurse", "baker"], "gender": ["man", "woman"]}

    def logits(pixels):
        return {name: pixels.mean(dim=(2, 3))[:, : len(of)] for name, of in known.items()}

    classifier = SimpleNamespace(attributes=known, model=torch.nn.Identity(), logits=logits)
    teacher = Teacher(classifier, [("age", ages)], "subject", 3.0, kept=["gender"])
    prompts = ["a photo of a nurse"]
    of = ShownValues(moesd, prompts, ["nurse"], pipeline, teacher, batch_size=12, seed=0)
    networks = (pipeline.unet, pipeline.vae, moesd.experts)
    weights = {w.untyped_storage().data_ptr() for of in networks for w in of.parameters()}
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        of.loss()
    n_bytes = sum(of.untyped_storage().nbytes() for at, of in saved.items() if at not in weights)
    plan = plan_training(pipeline_folder, config)
    constant = 4 * sum(plan.frozen.values())
    assert 1e9 * plan.teaching.memory.gigabytes - constant == pytest.approx(n_bytes, rel=0.1)
