"""The plan of a training: what is trained, what share of the model that is, and what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from probe.io.settings import at_least
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts
from probe.moesd.gate import CLASSES
from probe.moesd.plan.costs import Costs, measure_costs
from probe.moesd.plan.shapes import Shape, n_weights
from probe.moesd.unet_experts import UNetExperts

BATCH_SIZES = (1, 4, 16)
_TRAINED = 4 * 4  # bytes a trained weight: itself, its gradient, and two moments of Adam
_FLOAT = 4


@dataclass(frozen=True)
class Memory:
    """An estimate for one setting, in gigabytes of 10^9 bytes."""

    batch_size: int
    resolution: int
    """Pixels of a side."""
    gigabytes: float
    gigabytes_checkpointed: float
    """With gradient checkpointing of the U-Net, which runs its forward pass twice."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training trains and what it costs; memory and operations are estimates."""

    model: str
    side: str
    unet_width: int
    """Bottleneck of each expert in the U-Net; 0 if there are none."""
    n_experts: int
    n_sites: int
    """Cross-attentions that experts follow."""
    trainable: dict[str, int]
    """Weights by component: ``token``, ``gate``, ``text_experts``, ``unet_experts``."""
    frozen: dict[str, int]
    """Weights of the base model: ``unet``, ``text_encoder`` (all of them), ``vae``."""
    memory: tuple[Memory, ...]
    batch_size: int
    flops_forward: int
    """Of one picture through the U-Net."""
    flops_backward: int
    flops_step: int
    """Of a step: for each picture the frozen model's own prediction, the corrected one, and the
    gradient of that."""

    @property
    def n_trainable(self) -> int:
        """All trained weights."""
        return sum(self.trainable.values())

    @property
    def unet_share(self) -> float:
        """Experts in the U-Net over the U-Net's own weights."""
        return self.trainable["unet_experts"] / self.frozen["unet"]

    @property
    def total_share(self) -> float:
        """All trained weights over the base model's."""
        return self.n_trainable / sum(self.frozen.values())

    def to_json(self) -> dict[str, Any]:
        """Every figure."""
        return {
            **asdict(self),
            "n_trainable": self.n_trainable,
            "unet_share": self.unet_share,
            "total_share": self.total_share,
        }

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{name.replace('_', ' '):<14}{n:>14,} weights" for name, n in self.trainable.items()
        ]
        lines.append(
            f"{'in all':<14}{self.n_trainable:>14,} weights, {self.total_share:.2%} of the model; "
            f"in the U-Net {self.unet_share:.2%} of its {self.frozen['unet']:,}"
        )
        if self.n_sites:
            lines.append(
                f"{self.n_experts} experts of width {self.unet_width} after each of "
                f"{self.n_sites} cross-attentions"
            )
        for row in self.memory:
            lines.append(
                f"memory, {row.batch_size} of {row.resolution} px: about {row.gigabytes:.2g} GB, "
                f"{row.gigabytes_checkpointed:.2g} GB with gradient checkpointing"
            )
        lines.append(f"a step of {self.batch_size} pictures: {self.flops_step / 1e12:.2g} TFLOP")
        return "\n".join(lines)


def plan_training(
    model: str | Path, config: TrainConfig | None = None, *, resolution: int | None = None
) -> TrainingPlan:
    """Tell what a training costs from the model's configuration files alone.

    Nothing is computed but shapes: the networks stand on torch's meta device.

    Parameters
    ----------
    model : str or Path
        See `probe.moesd.plan.shapes.Shape.read`.
    config : TrainConfig, optional
        Without it, the default with experts on both sides.
    resolution : int, optional
        Pixels of a side; the model's own if not given.

    Raises
    ------
    ModelError
        If the model is unknown, or has no U-Net or no text encoder.
    """
    config = config or TrainConfig(side="both")
    shape = Shape.read(model)
    unet = shape.build_unet().requires_grad_(False)
    experts = _unet_experts(unet, config)
    own = int(unet.config.sample_size) * shape.pixels_per_latent
    size = resolution or own
    at_least("resolution", size, shape.pixels_per_latent)
    costs = measure_costs(unet, experts, latent_size=size // shape.pixels_per_latent)
    trainable = {
        "token": shape.n_features if config.has_token else 0,
        "gate": len(CLASSES) * (shape.n_features + 1),
        "text_experts": _n_text(shape.n_features, config),
        "unet_experts": 0 if experts is None else experts.n_parameters,
    }
    frozen = {"unet": n_weights(unet), **shape.count_frozen()}
    n_batches = sorted({*BATCH_SIZES, config.batch_size})
    return TrainingPlan(
        model=str(model),
        side=config.side,
        unet_width=0 if experts is None else experts.width,
        n_experts=config.n_experts,
        n_sites=0 if experts is None else len(experts.sites),
        trainable=trainable,
        frozen=frozen,
        memory=tuple(_memory(costs, trainable, frozen, batch, size) for batch in n_batches),
        batch_size=config.batch_size,
        flops_forward=costs.forward_flops,
        flops_backward=costs.backward_flops,
        flops_step=config.batch_size * (2 * costs.forward_flops + costs.backward_flops),
    )


def _unet_experts(unet: Any, config: TrainConfig) -> UNetExperts | None:
    if not config.has_unet:
        return None
    with torch.device("meta"):
        return UNetExperts.start(
            unet,
            width=config.unet_width,
            n_experts=config.n_experts,
            style=config.style,
            placement=config.placement,
        )


def _n_text(n_features: int, config: TrainConfig) -> int:
    if not config.has_text:
        return 0
    with torch.device("meta"):
        return n_weights(Experts(n_features, width=config.width, style=config.style))


def _memory(
    costs: Costs, trainable: dict[str, int], frozen: dict[str, int], batch: int, resolution: int
) -> Memory:
    """Add up weights, what training keeps for each trained one, and activations."""
    n_trained = sum(n for name, n in trainable.items() if name != "gate")
    standing = _FLOAT * sum(frozen.values()) + _TRAINED * n_trained
    return Memory(
        batch_size=batch,
        resolution=resolution,
        gigabytes=(standing + batch * costs.activation_bytes) / 1e9,
        gigabytes_checkpointed=(standing + batch * costs.checkpointed_bytes) / 1e9,
    )
