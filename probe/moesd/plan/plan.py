"""The plan of a training: trained weights, their share of the model, memory and operations."""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from probe.errors import ModelError
from probe.io.settings import at_least
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts, n_weights
from probe.moesd.gate import count_features
from probe.moesd.plan.costs import measure_costs
from probe.moesd.unet_experts import UNetExperts
from probe.stats.notation import percent
from probe.text.challenge_prompts import KINDS
from probe.text.checkpoints import read_config, resolve_model

BATCH_SIZES = (1, 4, 16)
_KNOWN = Path(__file__).parents[2] / "data" / "shapes.toml"
_BYTES = 4  # of a number
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


@dataclass(frozen=True)
class TrainingPlan:
    """What a training trains and costs; memory and operations are estimates."""

    model: str
    side: str
    unet_width: int
    """Bottleneck of each U-Net expert; 0 if there are none."""
    n_experts: int
    n_sites: int
    """Number of cross-attention layers with experts."""
    trainable: dict[str, int]
    """Weights by component: ``token``, ``gate``, ``text_experts``, ``unet_experts``."""
    frozen: dict[str, int]
    """Weights of the base model: ``unet``, ``text_encoder`` (all of them), ``vae``."""
    memory: tuple[Memory, ...]
    """Empty where the image model is not needed."""
    batch_size: int
    flops_forward: int
    """Of one image through the U-Net."""
    flops_backward: int
    flops_step: int
    """Of a step: per image the corrected prediction and its gradient, and the frozen model's
    prediction unless the objective is ``noise``; 0 where the image model is not needed."""

    @property
    def n_trainable(self) -> int:
        """Number of trained weights."""
        return sum(self.trainable.values())

    @property
    def unet_share(self) -> float:
        """U-Net experts over the U-Net's own weights."""
        return self.trainable["unet_experts"] / self.frozen["unet"]

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
        lines.append(
            f"{'in all':<14}{self.n_trainable:>14,} weights, {percent(self.total_share, 2)} of the "
            f"model; in the U-Net {percent(self.unet_share, 2)} of its {self.frozen['unet']:,}"
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
        if self.flops_step:
            lines.append(f"a step of {self.batch_size} images: {self.flops_step / 1e12:.2g} TFLOP")
        else:
            lines.append("trained on the text encoder alone: no image model is needed")
        return "\n".join(lines)


def plan_training(
    model: str | Path, config: TrainConfig | None = None, *, resolution: int | None = None
) -> TrainingPlan:
    """Plan a training from the model's configuration files, on torch's meta device.

    Parameters
    ----------
    model : str or Path
        As for `probe.text.checkpoints.resolve_model`. Models in ``probe/data/shapes.toml`` need
        not be present.
    config : TrainConfig, optional
        By default that of `train`.
    resolution : int, optional
        Pixels of a side; the model's own by default.

    Raises
    ------
    ModelError
        If the model is unknown, or has no U-Net or no text encoder.
    """
    config, parts = config or TrainConfig(), _read_configs(model)
    text, vae, unet = parts["text_encoder"][0], parts["vae"], build_unet(model)
    n_features = int(text["hidden_size"])
    per_latent = 2 ** ((4 if vae is None else len(vae["block_out_channels"])) - 1)
    with torch.device("meta"):
        experts = None
        if config.has_unet:
            experts = UNetExperts.start(
                unet, width=config.unet_width, n_experts=config.n_experts, style=config.style
            )
        on_states = Experts(n_features, width=config.width, style=config.style)
    size = resolution or int(unet.config.sample_size) * per_latent
    at_least("resolution", size, per_latent)
    costs = measure_costs(unet, experts, latent_size=size // per_latent)
    n_read = count_features(
        config.gate_reads,
        has_list=config.gate_list,
        n_features=n_features,
        n_layers=int(text["num_hidden_layers"]),
    )
    trainable = {
        "token": n_features if config.has_token else 0,
        "gate": len(KINDS) * (n_read + 1),
        "text_experts": n_weights(on_states) if config.has_text else 0,
        "unet_experts": 0 if experts is None else n_weights(experts),
    }
    frozen = {"unet": n_weights(unet), **_count_frozen(parts)}
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
    )


def build_unet(model: str | Path) -> Any:
    """Make the U-Net of a model on the meta device, frozen: modules and shapes without memory."""
    import diffusers

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(_read_configs(model)["unet"])
    return unet.requires_grad_(False)


def _read_configs(model: str | Path) -> dict[str, Any]:
    """Read the configurations of the parts; there may be several text encoders, and no VAE."""
    for shape in tomllib.loads(_KNOWN.read_text(encoding="utf-8")).values():
        if model in shape["names"]:
            return {**shape, "text_encoder": [shape["text_encoder"]]}
    folder = resolve_model(model)
    texts = sorted(folder.glob("text_encoder*/config.json"))
    unet, vae = (folder / part / "config.json" for part in ("unet", "vae"))
    if not unet.is_file() or not texts:
        part = "text_encoder" if unet.is_file() else "unet"
        raise ModelError(
            f"{folder} has no {part}/config.json; needed the folder of a pipeline with a "
            "U-Net, as of Stable Diffusion v1.x, v2.x or XL"
        )
    return {
        "unet": read_config(unet),
        "text_encoder": [read_config(path) for path in texts],
        "vae": read_config(vae) if vae.is_file() else None,
    }


def _count_frozen(parts: dict[str, Any]) -> dict[str, int]:
    """Count the weights of the text encoders and of the VAE."""
    import diffusers
    import transformers

    counts = {"text_encoder": 0, "vae": 0}
    with torch.device("meta"):
        for config in parts["text_encoder"]:
            network = getattr(transformers, config["architectures"][0])
            settings = {name: value for name, value in config.items() if name[0] != "_"}
            counts["text_encoder"] += n_weights(network(network.config_class(**settings)))
        if parts["vae"] is not None:
            counts["vae"] = n_weights(diffusers.AutoencoderKL.from_config(parts["vae"]))
    return counts
