"""Compatibility of a correction with a pipeline: class, text encoder, vocabulary and U-Net."""

from __future__ import annotations

from typing import Any

import torch

from probe.errors import ModelError
from probe.moesd.attach.pipeline_encoder import input_device
from probe.moesd.correction import Correction
from probe.text.encoding.conditioning import KNOWN

_TOLERANCE = 1e-2  # weights in half precision against the same in single


def check_fit(pipeline: Any, correction: Correction) -> None:
    """Refuse a pipeline that a correction was not trained for.

    Textual inversions and LoRAs may be loaded into the pipeline.

    Raises
    ------
    ModelError
        If the token states of the pipeline's first text encoder do not condition its images, if
        that encoder has another width, vocabulary or weights than the one of the training, or if
        there is no U-Net that the experts fit.
    """
    name = type(pipeline).__name__
    known = KNOWN.get(name, {}).get("text_encoder")
    encoder = getattr(pipeline, "text_encoder", None)
    if known is not None and known.gives == "pooled":
        raise ModelError(
            f"no states of the first text encoder of a {name} condition its images; needed a "
            "pipeline of Stable Diffusion v1.x, v2.x, XL or 3"
        )
    if encoder is None or not hasattr(pipeline, "encode_prompt"):
        raise ModelError(
            f"a {name} has no text_encoder with encode_prompt; needed a text-to-image pipeline of "
            "diffusers with all of its parts"
        )
    _check_encoder(encoder, correction)
    _check_vocabulary(pipeline.tokenizer, correction)
    if correction.unet_experts is not None:
        if (unet := getattr(pipeline, "unet", None)) is None:
            raise ModelError(
                f"a {name} has no U-Net but the correction has experts in one; train with side "
                "'text' for this pipeline"
            )
        correction.unet_experts.check(unet)


def _check_encoder(found: Any, correction: Correction) -> None:
    needed = correction.encoder.model
    for what in ("hidden_size", "num_hidden_layers"):
        ours, theirs = (getattr(model.config, what, None) for model in (needed, found))
        if ours != theirs:
            raise ModelError(
                f"the pipeline's text encoder has {what} {theirs} but the correction was trained "
                f"on {correction.encoder.id!r} with {ours}; train it on this model"
            )
    tables = [model.get_input_embeddings() for model in (needed, found)]
    n = min(table.num_embeddings for table in tables)
    ours, theirs = (_rows(table, n) for table in tables)
    is_same = ours.shape == theirs.shape and torch.allclose(
        ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE / 10
    )
    if not is_same:
        raise ModelError(
            f"the pipeline's text encoder has other weights than {correction.encoder.id!r}, which "
            "the correction was trained on; train it on this model"
        )


@torch.no_grad()
def _rows(table: Any, n: int) -> torch.Tensor:
    """Look up the first rows; the weight itself is empty while it is offloaded."""
    rows: torch.Tensor = table(torch.arange(n, device=input_device(table.weight)))
    return rows.float().cpu()


def _check_vocabulary(tokenizer: Any, correction: Correction) -> None:
    found, needed = tokenizer.get_vocab(), correction.encoder.tokenizer.get_vocab()
    if other := [word for word, number in needed.items() if found.get(word) != number]:
        raise ModelError(
            f"the pipeline's vocabulary differs from that of {correction.encoder.id!r} in "
            f"{len(other)} words such as {other[0]!r}; train the correction on this model"
        )
