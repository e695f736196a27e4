"""The plan of a training: trained weights, their share of the model, memory and operations."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from probe.images.costs import ImagePlan, given_to_denoiser, meta_model, plan_images
from probe.images.shapes import Shapes
from probe.io.settings import at_least
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts, expert_names, n_weights, with_cells
from probe.moesd.gate import count_features
from probe.moesd.objectives.shown import N_STEPS
from probe.moesd.plan.costs import Costs, measure_costs, measure_decoding
from probe.moesd.unet_experts import UNetExperts
from probe.stats.notation import percent
from probe.text.challenge_prompts import KINDS
from probe.text.concepts import load_attributes

BATCH_SIZES = (1, 4, 16)
_BYTES = 4  # of a number
_LEAST_RESOLUTION = 8
_COPIES = 4  # of a trained weight: itself, its gradient, and two moments of Adam


@dataclass(frozen=True)
class Memory:
    """Estimated memory for one batch size, in gigabytes of 10^9 bytes."""

    batch_size: int
    resolution: int
    """Pixels of a side."""
    gigabytes: float
    gigabytes_checkpointed: float
    """With gradient checkpointing of the U-Net, which runs its forward pass twice."""

    def __str__(self) -> str:
        return (
            f"about {self.gigabytes:.2g} GB, {self.gigabytes_checkpointed:.2g} GB with gradient "
            "checkpointing"
        )


@dataclass(frozen=True)
class Teaching:
    """What it costs that a classifier teaches the experts by images; the classifier is left out."""

    n_steps: int
    memory: Memory
    """Of a step; with gradient checkpointing it keeps one call of the denoiser, and decodes image
    by image."""
    flops_step: int
    """Of a step: the images' predictions and gradients, the base model's images of the same noise,
    and the decoding of both."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training trains and costs; memory and operations are estimates."""

    model: str
    side: str
    unet_width: int
    """Bottleneck of each U-Net expert; 0 if there are none."""
    n_experts: int
    n_sites: int
    """Number of attentions to the text with experts."""
    trainable: dict[str, int]
    """Weights by component: ``token``, ``gate``, ``text_experts``, ``unet_experts``."""
    frozen: dict[str, int]
    """Weights of the base model: ``unet`` or ``transformer``, ``text_encoder`` (all), ``vae``."""
    memory: tuple[Memory, ...]
    """Empty where the image model is not needed."""
    batch_size: int
    flops_forward: int
    """Of one image through the denoiser."""
    flops_backward: int
    flops_step: int
    """Of a step: per image the corrected prediction and its gradient, and the frozen model's
    prediction unless the objective is ``noise``; 0 where the image model is not needed."""
    images: ImagePlan
    teaching: Teaching | None = None
    """Where a classifier teaches the experts."""

    @property
    def n_trainable(self) -> int:
        """Number of trained weights."""
        return sum(self.trainable.values())

    @property
    def unet_share(self) -> float:
        """U-Net experts over the U-Net's own weights; 0 without one."""
        return self.trainable["unet_experts"] / next(iter(self.frozen.values()))

    @property
    def total_share(self) -> float:
        """Trained weights over the base model's."""
        return self.n_trainable / sum(self.frozen.values())

    def to_json(self) -> dict[str, Any]:
        """Return every figure."""
        derived = ("n_trainable", "unet_share", "total_share")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}

    def summary(self) -> str:
        """Summarise the plan in a few lines."""
        lines = [
            f"{name.replace('_', ' '):<14}{n:>14,} weights" for name, n in self.trainable.items()
        ]
        part, n = next(iter(self.frozen.items()))
        denoiser = {"unet": "U-Net"}.get(part, part)
        lines.append(
            f"{'in all':<14}{self.n_trainable:>14,} weights, {percent(self.total_share, 2)} of the "
            f"model; in the {denoiser} {percent(self.unet_share, 2)} of its {n:,}"
        )
        if self.n_sites:
            lines.append(
                f"{self.n_experts} experts of width {self.unet_width} after each of "
                f"{self.n_sites} attentions to the text"
            )
        for row in self.memory:
            lines.append(f"memory, {row.batch_size} of {row.resolution} px: {row}")
        if self.flops_step:
            lines.append(f"a step of {self.batch_size} images: {self.flops_step / 1e12:.2g} TFLOP")
        elif self.teaching is None:
            lines.append("trained on the text encoder alone: no image model is needed")
        if (of := self.teaching) is not None:
            lines.append(
                f"a classifier teaches the experts: {of.n_steps} steps of {of.memory.batch_size} "
                f"images, {of.flops_step / 1e12:.2g} TFLOP each, {of.memory}"
            )
        return "\n".join([*lines, self.images.summary()])


def plan_training(
    model: str | Path,
    config: TrainConfig | None = None,
    *,
    resolution: int | None = None,
    dtype: str = "float32",
    device: torch.device | None = None,
) -> TrainingPlan:
    """Plan a training and its images from a model's configuration files, on torch's meta device.

    Parameters
    ----------
    model : str or Path
        As for `probe.text.checkpoints.resolve_model`. Models in ``probe/data/shapes.toml`` need
        not be present.
    config : TrainConfig, optional
        By default that of `train`.
    resolution : int, optional
        Pixels of a side; the model's own by default.
    dtype, device : str, torch.device
        Of the images; see `probe.images.costs.plan_images`.

    Raises
    ------
    ModelError
        If the model is unknown or of no family.
    """
    config, shapes = config or TrainConfig(), Shapes.read(model)
    n_corrected = None if config.encoders == "all" else 1
    texts = [shapes.build(of).config for of in shapes.text_encoders[:n_corrected]]
    name, text = shapes.family.denoiser, texts[0]
    denoiser = shapes.build(name)
    n_features = int(text.hidden_size)
    with torch.device("meta"):
        experts = None
        if config.has_unet:
            experts = UNetExperts.start(
                denoiser, width=config.unet_width, n_experts=config.n_experts, style=config.style
            )
        corrected = with_cells(load_attributes(config.attributes), has_cells=config.cells)
        names = expert_names(corrected)
        on_states = [
            Experts(int(of.hidden_size), width=config.width, style=config.style, names=names)
            for of in texts
        ]
    if resolution is not None:
        at_least("resolution", resolution, _LEAST_RESOLUTION)
    images = plan_images(shapes, dtype=dtype, resolution=resolution, device=device)
    size, parts = images.resolution, {name: denoiser, "vae": shapes.build("vae")}
    pictured = meta_model(shapes, parts, torch.float32)
    of_size = {**pictured.calling, "height": size, "width": size}
    args, kwargs = given_to_denoiser(pictured, 1.0, of_size)
    costs = measure_costs(denoiser, experts, *args, **kwargs)
    n_read = count_features(
        config.gate_reads,
        has_list=config.gate_list,
        n_features=n_features,
        n_layers=int(text.num_hidden_layers),
    )
    trainable = {
        "token": sum(int(of.hidden_size) for of in texts) if config.has_token else 0,
        "gate": len(KINDS) * (n_read + 1),
        "text_experts": sum(map(n_weights, on_states)) if config.has_text else 0,
        "unet_experts": 0 if experts is None else n_weights(experts),
    }
    frozen = {
        name: images.weights[name],
        "text_encoder": sum(images.weights[part] for part in shapes.text_encoders),
        "vae": images.weights["vae"],
    }
    by_gradients = sum(n for name, n in trainable.items() if name != "gate")
    constant = _BYTES * (sum(frozen.values()) + _COPIES * by_gradients)
    memory = [
        Memory(
            batch_size=n,
            resolution=size,
            gigabytes=(constant + n * costs.activation_bytes) / 1e9,
            gigabytes_checkpointed=(constant + n * costs.checkpointed_bytes) / 1e9,
        )
        for n in sorted({*BATCH_SIZES, config.batch_size} if config.needs_pictures else ())
    ]
    teaching = None
    if config.is_taught:
        n_predictions = 2 if pictured.is_guided(images.guidance_scale) else 1
        of_image = costs, measure_decoding(pictured, size), n_predictions
        teaching = _teaching(config, len(names), *of_image, constant, size)
    per_image = (2 - (config.objective == "noise")) * costs.forward_flops + costs.backward_flops
    return TrainingPlan(
        model=str(model),
        side=config.side,
        unet_width=0 if experts is None else experts.width,
        n_experts=config.n_experts,
        n_sites=0 if experts is None else len(experts.sites),
        trainable=trainable,
        frozen=frozen,
        memory=tuple(memory),
        batch_size=config.batch_size,
        flops_forward=costs.forward_flops,
        flops_backward=costs.backward_flops,
        flops_step=config.batch_size * per_image if config.needs_pictures else 0,
        images=images,
        teaching=teaching,
    )


def _teaching(
    config: TrainConfig,
    n_experts: int,
    costs: Costs,
    decoding: Costs,
    n_predictions: int,
    constant: int,
    resolution: int,
) -> Teaching:
    n, n_steps = config.taught_batches(n_experts)
    denoising = N_STEPS * (2 * n_predictions * costs.forward_flops + costs.backward_flops)
    once = n * costs.checkpointed_bytes  # one denoising step is held, and one image decoded
    whole = n * (N_STEPS * costs.activation_bytes + decoding.activation_bytes)
    return Teaching(
        n_steps=n_steps,
        memory=Memory(
            batch_size=n,
            resolution=resolution,
            gigabytes=(constant + whole) / 1e9,
            gigabytes_checkpointed=(constant + max(once, decoding.activation_bytes)) / 1e9,
        ),
        flops_step=n * (denoising + 2 * decoding.forward_flops + decoding.backward_flops),
    )
