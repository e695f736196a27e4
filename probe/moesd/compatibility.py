"""Whether a correction fits a pipeline: its family, text encoders, vocabularies and denoiser."""

import re
from typing import Any

import torch

from probe.errors import ModelError
from probe.images.models.lookup import family_of
from probe.images.models.model import ImageModel
from probe.images.models.stable_diffusion import StableDiffusion
from probe.moesd.correction import Correction
from probe.moesd.router import CALIBRATED
from probe.text.encoder import TextEncoder

FIRST = "text_encoder"
_TOLERANCE = 1e-2  # weights in half precision against the same in single


def check_fit(pipeline: Any, correction: Correction) -> None:
    """Refuse a pipeline that a correction was not trained for.

    Each text encoder that is corrected must have the width, vocabulary and weights of the one of
    the training, beside textual inversions and LoRAs; and the experts in the denoiser must fit. A
    router that asks the denoiser for shares needs a text-to-image pipeline of a known family, or
    the U-Net of Stable Diffusion v1 or v2.
    """
    name = type(pipeline).__name__
    parts = [of.encoder for of in correction.parts]
    for trained in parts:
        slot = trained.slot or FIRST
        if getattr(pipeline, slot, None) is None or not hasattr(pipeline, "encode_prompt"):
            raise ModelError(
                f"a {name} has no {slot} with encode_prompt; needed a text-to-image pipeline of "
                "diffusers with all of its parts"
            )
    model, kind = image_model_of(pipeline), correction.router.kind
    is_asked = family_of(name) is not None or isinstance(model, StableDiffusion)
    if kind == CALIBRATED and not is_asked:
        raise ModelError(
            f"the router {kind!r} asks the denoiser for shares, and a {name} cannot be asked; "
            "needed a text-to-image pipeline of a family of docs/families.md, or another router"
        )
    for trained in parts:
        _check_encoder(getattr(pipeline, trained.slot or FIRST), trained)
        _check_vocabulary(tokenizer_of(pipeline, trained), trained)
    if correction.unet_experts is not None:
        if "PAG" in name:  # a third of each batch has perturbed attention
            raise ModelError(
                f"a {name} perturbs the attentions that experts in the denoiser follow; needed a "
                "pipeline without, or a correction trained with side 'text'"
            )
        if (denoiser := getattr(pipeline, model.denoiser, None)) is None:
            raise ModelError(
                f"a {name} without a denoiser has no place for the correction's experts in one; "
                "needed a pipeline with all of its parts"
            )
        correction.unet_experts.check(denoiser)


def image_model_of(pipeline: Any) -> ImageModel:
    """Return the image model of a pipeline, also of its image-to-image and other variants.

    One of no known family whose U-Net has no further conditions is one of Stable Diffusion v1's.
    """
    for kind in type(pipeline).__mro__:
        name = re.sub("Img2Img|Inpaint(ing)?|ControlNet|Sprint", "", kind.__name__)
        if (family := family_of(name)) is not None:
            return family(pipeline)
    unet = getattr(pipeline, "unet", None)
    if unet is not None and not unet.config.addition_embed_type:
        return StableDiffusion(pipeline)
    raise ModelError(
        f"a {type(pipeline).__name__} is of no family that can be corrected (docs/families.md); "
        "needed a text-to-image pipeline of one, or its img2img, inpaint or ControlNet variant"
    )


def _check_encoder(found: Any, trained: TextEncoder) -> None:
    needed = trained.model
    for what in ("hidden_size", "num_hidden_layers"):
        ours, theirs = (getattr(model.config, what, None) for model in (needed, found))
        if ours != theirs:
            raise ModelError(
                f"the pipeline's text encoder has {what} {theirs} but the correction was trained "
                f"on {trained.id!r} with {ours}; train it on this model"
            )
    tables = [model.get_input_embeddings() for model in (needed, found)]
    n = min(table.num_embeddings for table in tables)
    ours, theirs = (_rows(table, n) for table in tables)
    is_same = ours.shape == theirs.shape and torch.allclose(
        ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE / 10
    )
    if not is_same:
        raise ModelError(
            f"the pipeline's text encoder has other weights than {trained.id!r}, which "
            "the correction was trained on; train it on this model"
        )


@torch.no_grad()
def _rows(table: Any, n: int) -> torch.Tensor:
    """Look up the first rows; the weight itself is empty while it is offloaded."""
    rows: torch.Tensor = table(torch.arange(n, device=input_device(table.weight)))
    return rows.float().cpu()


def _check_vocabulary(tokenizer: Any, trained: TextEncoder) -> None:
    found, needed = tokenizer.get_vocab(), trained.tokenizer.get_vocab()
    if other := [word for word, number in needed.items() if found.get(word) != number]:
        raise ModelError(
            f"the pipeline's vocabulary differs from that of {trained.id!r} in "
            f"{len(other)} words such as {other[0]!r}; train the correction on this model"
        )


def tokenizer_of(pipeline: Any, trained: TextEncoder) -> Any:
    """Return the tokenizer of the text encoder that a correction was trained on."""
    return getattr(pipeline, (trained.slot or FIRST).replace("text_encoder", "tokenizer"))


def input_device(weight: torch.Tensor) -> torch.device:
    """Return the device for inputs of a weight; accelerate moves those of an offloaded one."""
    return torch.device("cpu") if weight.is_meta else weight.device
