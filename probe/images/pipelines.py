"""Open an image model of any family, and read its recommended settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ModelError
from probe.images.models.lookup import family_of
from probe.images.models.model import FAMILIES, ImageModel
from probe.images.models.stable_diffusion import StableDiffusion
from probe.text.checkpoints import read_config, read_index, refuse_pickle, resolve_model

if TYPE_CHECKING:
    from probe.text.encoder import TextEncoder

SETTINGS = "generation.json"
"""Optional file in a model's folder: ``{"guidance_scale": 2.0, "num_inference_steps": 12}``."""

INDEX = "model_index.json"


@dataclass(frozen=True)
class GenerationSettings:
    """Recommended settings of a model."""

    guidance_scale: float = 7.5
    n_steps: int = 50


def load_pipeline(
    model: str | Path,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    offload: str = "none",
    is_compiled: bool = False,
    encoders: Iterable[TextEncoder] = (),
) -> Any:
    """Open the pipeline of an image model, or what a plugin opens for it.

    Parameters
    ----------
    model : str or Path
        As for `probe.text.checkpoints.resolve_model`; see also
        `probe.images.models.lookup.image_model`.
    device : str
        Where images are made.
    dtype, offload : str
        Precision of all weights, and which of them stay in the CPU's memory until they compute; see
        `probe.images.weights`.
    is_compiled : bool
        Whether `torch.compile` compiles the denoiser when it is first called.
    encoders : iterable of TextEncoder
        Those that are open: their weights are used, not read again, if precision and device agree.

    Raises
    ------
    ModelError, OptionError, MemoryLimitError
        If the model cannot be opened, or not so on this device.
    """
    folder = resolve_model(model)
    name = declared_name(folder / INDEX, "_class_name")
    if name in FAMILIES and family_of(name) is None:
        return FAMILIES[name](folder, device=device)
    family = check_pipeline(folder)
    # Imported here: diffusers takes seconds, and most errors are found before.
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging

    from probe.images.weights import choose_weights, place
    from probe.text.loading import find_device, opening

    where, denoiser = find_device(device), "" if family is None else family.denoiser
    is_whole = dtype == "float32" or (dtype == "auto" and where.type == "cpu")
    is_shared = is_whole and offload == "none"
    shared = {of.slot: of.model for of in encoders if is_shared and of.device == where}
    parts = [part for part in read_index(folder) if (folder / part).is_dir() and part not in shared]
    weights = choose_weights(folder, parts, denoiser, device=where, dtype=dtype, offload=offload)
    entries = read_config(folder / INDEX)
    absent = {part: None for part, entry in entries.items() if entry == [None, None]}
    absent |= {} if family is None else {**family.loading, **_unnamed(name, entries)}
    shows_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with opening(folder):
            pipeline = DiffusionPipeline.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=weights.dtype,  # of every part, whatever it is stored in
                variant=weights.variant,
                **absent,
                **shared,
            )
    finally:
        if shows_bars:
            logging.enable_progress_bar()
    place(pipeline, device=where, offload=offload)
    if is_compiled and family is not None:
        getattr(pipeline, denoiser).compile()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_pipeline(folder: Path) -> type[ImageModel] | None:
    """Find the family of a pipeline, and refuse a folder that cannot be opened, before it is.

    None is a pipeline of diffusers of another family, which can be called with a prompt.
    """
    index, name = read_index(folder), declared_name(folder / INDEX, "_class_name")
    if (family := family_of(name)) is None and not _takes_prompts(name):
        raise ModelError(
            f"{folder} holds a {name or 'pipeline of no class'}; needed a text-to-image pipeline "
            f"of diffusers, such as {', '.join(FAMILIES)}"
        )
    parts = dict.fromkeys([*index, *(() if family is None else family.parts)])
    unused = () if family is None else family.loading
    missing = [of for of in parts if of not in index or not (folder / of).is_dir()]
    if missing := [of for of in missing if of not in unused]:
        raise ModelError(
            f"the pipeline in {folder} has no {', '.join(missing)}; needed a {name} as "
            f"save_pretrained writes it, with [null, null] in {INDEX} for a part that it can spare"
        )
    refuse_pickle(folder)
    return family


def _unnamed(class_name: str, entries: Mapping[str, Any]) -> dict[str, None]:
    """Parts of a family's class that its index does not name: `check_pipeline` lets it spare them.

    diffusers opens Stable Diffusion 3 without T5 only if it is told of the absence.
    """
    import diffusers

    if (kind := getattr(diffusers, class_name, None)) is None:  # a plugin's
        return {}
    taken = inspect.signature(kind).parameters.values()
    needed = (of.name for of in taken if of.default is of.empty)
    return {name: None for name in needed if name not in entries}


def _takes_prompts(class_name: str) -> bool:
    import diffusers

    kind = getattr(diffusers, class_name, None) if class_name.endswith("Pipeline") else None
    taken = inspect.signature(kind.__call__).parameters if kind is not None else {}
    return "prompt" in taken and "generator" in taken


def check_family(folder: Path, what: str, instead: str) -> None:
    """Refuse a model that is only called, whose denoiser cannot predict by itself."""
    name = declared_name(folder / INDEX, "_class_name")
    if family_of(name) is None and name not in FAMILIES:
        raise ModelError(
            f"{what} needs a model of a family of docs/families.md; {folder} is "
            f"{f'a {name}' if name else 'no pipeline'}: {instead}"
        )


def check_unet(folder: Path, what: str, instead: str) -> None:
    """Refuse a model whose U-Net is not conditioned by the states of one text encoder alone."""
    family = family_of(name := declared_name(folder / INDEX, "_class_name"))
    if not (issubclass(family, StableDiffusion) if family else name in FAMILIES):
        raise ModelError(f"{what} needs Stable Diffusion 1 or 2; {folder} is a {name}: {instead}")


def declared_name(path: Path, key: str) -> str:
    """Read the name that a model's JSON file gives under a key; "" if there is none."""
    try:
        return str(read_config(path)[key])
    except (ModelError, KeyError):
        return ""  # later checks name what is wrong with the file


def generation_settings(folder: Path) -> GenerationSettings:
    """Read a model's recommended guidance and steps; without any, those of its pipeline's class."""
    path = folder / SETTINGS
    if not path.is_file():
        family = family_of(declared_name(folder / INDEX, "_class_name"))
        if family is None:
            return GenerationSettings()
        config = folder / family.denoiser / "config.json"
        return GenerationSettings(*family.recommended(read_config(config)))
    data = read_config(path)
    try:
        return GenerationSettings(float(data["guidance_scale"]), int(data["num_inference_steps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is damaged ({error!r}); needed JSON with the numbers guidance_scale and "
            "num_inference_steps"
        ) from error
