"""The shape of an image model from its configuration files, without weights."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from probe.errors import ModelError
from probe.text.checkpoints import read_config, resolve_model

_KNOWN = Path(__file__).parents[2] / "data" / "shapes.toml"
_TEXT = "text_encoder"


@dataclass(frozen=True)
class Shape:
    """Configurations of the parts of an image model."""

    unet: dict[str, Any]
    text_encoders: tuple[dict[str, Any], ...]
    """The first one is corrected."""
    vae: dict[str, Any] | None
    """None if the folder has none."""

    @classmethod
    def read(cls, model: str | Path) -> Shape:
        """Read the configuration files of a model.

        Parameters
        ----------
        model : str or Path
            As for `probe.text.checkpoints.resolve_model`. Models in ``probe/data/shapes.toml`` need
            not be present.

        Raises
        ------
        ModelError
            If there is no such model, or it has no U-Net or no text encoder.
        """
        for shape in tomllib.loads(_KNOWN.read_text(encoding="utf-8")).values():
            if model in shape["names"]:
                return cls(shape["unet"], (shape[_TEXT],), shape["vae"])
        folder = resolve_model(model)
        texts = sorted(folder.glob(f"{_TEXT}*/config.json"))
        unet, vae = (folder / part / "config.json" for part in ("unet", "vae"))
        if not unet.is_file() or not texts:
            part = _TEXT if unet.is_file() else "unet"
            raise ModelError(
                f"{folder} has no {part}/config.json; needed the folder of a pipeline with a "
                "U-Net, as of Stable Diffusion v1.x, v2.x or XL"
            )
        return cls(
            unet=read_config(unet),
            text_encoders=tuple(read_config(path) for path in texts),
            vae=read_config(vae) if vae.is_file() else None,
        )

    @property
    def n_features(self) -> int:
        """Width of the states of the first text encoder."""
        return int(self.text_encoders[0]["hidden_size"])

    @property
    def pixels_per_latent(self) -> int:
        """Pixels per latent along one side."""
        blocks = 4 if self.vae is None else len(self.vae["block_out_channels"])
        return int(2 ** (blocks - 1))

    def build_unet(self) -> Any:
        """Make the U-Net on the meta device, frozen: modules and shapes without memory."""
        import diffusers

        with torch.device("meta"):
            return diffusers.UNet2DConditionModel.from_config(self.unet).requires_grad_(False)

    def count_frozen(self) -> dict[str, int]:
        """Count the weights of the text encoders and of the VAE."""
        import diffusers
        import transformers

        counts = {_TEXT: 0, "vae": 0}
        with torch.device("meta"):
            for config in self.text_encoders:
                network = getattr(transformers, config["architectures"][0])
                settings = {name: value for name, value in config.items() if name[0] != "_"}
                counts[_TEXT] += n_weights(network(network.config_class(**settings)))
            if self.vae is not None:
                counts["vae"] = n_weights(diffusers.AutoencoderKL.from_config(self.vae))
        return counts


def n_weights(module: torch.nn.Module) -> int:
    """Count the weights of a network."""
    return sum(weight.numel() for weight in module.parameters())
