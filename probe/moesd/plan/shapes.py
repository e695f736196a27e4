"""The shape of an image model: its configuration files, and its networks without weights."""

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
        """Read the configuration files of a model; weights need not be there.

        Parameters
        ----------
        model : str or Path
            As for `probe.text.checkpoints.resolve_model`; hub ids in ``probe/data/shapes.toml``
            are known without the model.

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
        unet = folder / "unet" / "config.json"
        if missing := [
            part for part, found in (("unet", unet.is_file()), (_TEXT, texts)) if not found
        ]:
            raise ModelError(
                f"{folder} has no {missing[0]}/config.json; needed the folder of a pipeline with a "
                "U-Net, as of Stable Diffusion v1.x, v2.x or XL"
            )
        vae = folder / "vae" / "config.json"
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
        """Side of the square of pixels that one latent stands for."""
        blocks = 4 if self.vae is None else len(self.vae["block_out_channels"])
        return int(2 ** (blocks - 1))

    def build_unet(self) -> Any:
        """Make the U-Net on the meta device: its modules and shapes, no memory."""
        import diffusers

        return _build(diffusers.UNet2DConditionModel, self.unet)

    def count_frozen(self) -> dict[str, int]:
        """Count the weights of the text encoders and of the VAE."""
        import diffusers
        import transformers

        n_text = 0
        for config in self.text_encoders:
            network = getattr(transformers, config["architectures"][0])
            settings = {name: value for name, value in config.items() if name[0] != "_"}
            with torch.device("meta"):
                n_text += n_weights(network(network.config_class(**settings)))
        n_vae = 0 if self.vae is None else n_weights(_build(diffusers.AutoencoderKL, self.vae))
        return {_TEXT: n_text, "vae": n_vae}


def n_weights(module: torch.nn.Module) -> int:
    """Count the weights of a network."""
    return sum(weight.numel() for weight in module.parameters())


def _build(network: Any, config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return network.from_config(config)
