"""An image model without its weights: what its configuration files alone say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from probe.errors import ModelError
from probe.images.models.lookup import family_of
from probe.images.models.model import ImageModel
from probe.images.pipelines import INDEX, GenerationSettings, declared_name, generation_settings
from probe.text.checkpoints import read_config, read_index, resolve_model

_KNOWN = Path(__file__).parents[1] / "data" / "shapes.toml"
_NEEDED = ("unet", "transformer", "vae", "text_encoder", "scheduler")
_FILES = {"scheduler": "scheduler_config.json"}


@dataclass(frozen=True)
class Shapes:
    """The configurations of a pipeline's parts."""

    model: str
    pipeline: str
    """Name of the pipeline's class."""
    parts: Mapping[str, Mapping[str, Any]]
    """Configuration of each network, and of the scheduler, by the part's name."""
    settings: GenerationSettings
    """Guidance scale and steps, those of the family if the model's folder names none."""

    @classmethod
    def read(cls, model: str | Path) -> Shapes:
        """Read the configurations of a folder, or of a model in ``probe/data/shapes.toml``.

        Raises
        ------
        ModelError
            If the model is unknown, or of no family.
        """
        for shape in tomllib.loads(_KNOWN.read_text(encoding="utf-8")).values():
            if model in shape["names"]:
                pipeline = shape["pipeline"]
                parts = {name: of for name, of in shape.items() if isinstance(of, dict)}
                settings = None
                break
        else:
            folder = resolve_model(model)
            pipeline = declared_name(folder / INDEX, "_class_name")
            parts = {
                part: read_config(folder / part / _FILES.get(part, "config.json"))
                for part in read_index(folder)
                if part.startswith(_NEEDED)
            }
            settings = generation_settings(folder)
        family = family_of(pipeline)
        if family is None or not parts.keys() >= {family.denoiser, "text_encoder", "vae"}:
            raise ModelError(
                f"{model} is a {pipeline} with the parts {', '.join(parts)}; needed a pipeline of "
                "a family of docs/families.md, with a denoiser, a text_encoder and a vae"
            )
        of_family = GenerationSettings(*family.recommended(parts[family.denoiser]))
        return cls(str(model), pipeline, parts, settings or of_family)

    @property
    def family(self) -> type[ImageModel]:
        """The family of the pipeline."""
        return family_of(self.pipeline) or ImageModel

    @property
    def text_encoders(self) -> list[str]:
        """Names of the text encoders."""
        return [name for name in self.parts if name.startswith("text_encoder")]

    def build(self, part: str) -> Any:
        """Make a network on the meta device, frozen: modules and shapes without memory."""
        import diffusers
        import transformers

        config = dict(self.parts[part])
        with torch.device("meta"):
            if "_class_name" in config:
                network = getattr(diffusers, config["_class_name"]).from_config(config)
            else:
                kind = getattr(transformers, config["architectures"][0])
                settings = {name: value for name, value in config.items() if name[0] != "_"}
                network = kind(kind.config_class(**settings))
        return network.eval().requires_grad_(False)
