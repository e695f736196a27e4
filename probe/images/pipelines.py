"""Load an image model: a StableDiffusionPipeline and its recommended settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ModelError
from probe.io.plugins import Registry
from probe.text.checkpoints import read_config, read_index, refuse_pickle, resolve_model

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

SETTINGS = "generation.json"
"""Optional file in a model's folder: ``{"guidance_scale": 2.0, "num_inference_steps": 12}``."""

INDEX = "model_index.json"
_CLASS = "StableDiffusionPipeline"
_PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")

FAMILIES: Registry[Callable[..., Any]] = Registry("image model family")
"""Image models of plugins, by ``_class_name`` of their ``model_index.json``; called with the folder
and the keyword argument ``device``, they return an object with the interface of a
``StableDiffusionPipeline``."""


@dataclass(frozen=True)
class GenerationSettings:
    """Recommended settings of a model; the defaults are those of diffusers."""

    guidance_scale: float = 7.5
    n_steps: int = 50


def load_pipeline(model: str | Path, *, device: str = "cpu") -> StableDiffusionPipeline:
    """Load a Stable Diffusion pipeline in single precision, without a safety checker.

    A checker would replace images by black ones, in which no attribute can be classified.

    ``model`` is as for `probe.text.checkpoints.resolve_model`.
    """
    folder = resolve_model(model)
    if (load := FAMILIES.get(declared_name(folder / INDEX, "_class_name"))) is not None:
        return load(folder, device=device)
    check_pipeline(folder)
    # Imported here: diffusers takes seconds, and most errors are found before.
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging

    from probe.text.loading import opening

    shows_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with opening(folder):
            pipeline = StableDiffusionPipeline.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,  # True needs accelerate, and warns without it
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            ).to(device)
    finally:
        if shows_bars:
            logging.enable_progress_bar()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_pipeline(folder: Path) -> None:
    """Refuse a folder that is not a Stable Diffusion pipeline, before weights are loaded."""
    index = read_index(folder)
    if missing := [name for name in _PARTS if name not in index or not (folder / name).is_dir()]:
        raise ModelError(
            f"the pipeline in {folder} has no {', '.join(missing)}; needed a {_CLASS} as "
            "save_pretrained writes it"
        )
    if (found := declared_name(folder / INDEX, "_class_name")) != _CLASS:
        raise ModelError(
            f"{folder} holds a {found}; needed a {_CLASS}, as of Stable Diffusion v1.x or v2.x"
        )
    refuse_pickle(folder)


def declared_name(path: Path, key: str) -> str:
    """Read the name that a model's JSON file gives under a key; "" if there is none."""
    try:
        return str(read_config(path)[key])
    except (ModelError, KeyError):
        return ""  # later checks name what is wrong with the file


def generation_settings(folder: Path) -> GenerationSettings:
    """Read a model's recommended guidance and steps."""
    path = folder / SETTINGS
    if not path.is_file():
        return GenerationSettings()
    data = read_config(path)
    try:
        return GenerationSettings(float(data["guidance_scale"]), int(data["num_inference_steps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is damaged ({error!r}); needed JSON with the numbers guidance_scale and "
            "num_inference_steps"
        ) from error
