"""Whether a correction fits a pipeline: its class, its text encoder, vocabulary and U-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from probe.errors import ModelError
from probe.moesd.attach.host_encoder import standing
from probe.text.encoding.conditioning import KNOWN

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

_TOLERANCE = 1e-2  # weights in half precision against the same in single


def check_fit(pipeline: Any, moesd: MoESD) -> None:
    """Refuse a pipeline that a correction was not trained for.

    Textual inversions and LoRAs that were loaded into the pipeline are no hindrance.

    Raises
    ------
    ModelError
        If the pipeline's first text encoder does not condition its pictures by states of tokens,
        or is not the one that the correction was trained on: another class or width, another
        vocabulary, other weights; or if it has no U-Net that the experts fit.
    """
    name = type(pipeline).__name__
    known = KNOWN.get(name, {}).get("text_encoder")
    encoder = getattr(pipeline, "text_encoder", None)
    if known is not None and known.gives == "pooled":
        raise ModelError(
            f"no states of the first text encoder of a {name} reach its pictures; needed a "
            "pipeline of Stable Diffusion v1.x, v2.x, XL or 3"
        )
    if encoder is None or not hasattr(pipeline, "encode_prompt"):
        raise ModelError(
            f"a {name} has no text_encoder with encode_prompt; needed a text-to-image pipeline of "
            "diffusers with all of its parts"
        )
    _check_encoder(encoder, moesd)
    _check_vocabulary(pipeline.tokenizer, moesd)
    if moesd.unet_experts is not None:
        if (unet := getattr(pipeline, "unet", None)) is None:
            raise ModelError(
                f"a {name} has no U-Net but the correction has experts in one; train with side "
                "'text' for this pipeline"
            )
        moesd.unet_experts.check(unet)


def _check_encoder(found: Any, moesd: MoESD) -> None:
    needed = moesd.encoder.model
    for what in ("hidden_size", "num_hidden_layers"):
        ours, theirs = (getattr(model.config, what, None) for model in (needed, found))
        if ours != theirs:
            raise ModelError(
                f"the pipeline's text encoder has {what} {theirs} but the correction was trained "
                f"on {moesd.encoder.id!r} with {ours}; train it on this model"
            )
    tables = [model.get_input_embeddings() for model in (needed, found)]
    n = min(table.num_embeddings for table in tables)
    ours, theirs = (_rows(table, n) for table in tables)
    is_same = ours.shape == theirs.shape and torch.allclose(
        ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE / 10
    )
    if not is_same:
        raise ModelError(
            f"the pipeline's text encoder has other weights than {moesd.encoder.id!r}, on which "
            "the correction was trained; train it on this model"
        )


@torch.no_grad()
def _rows(table: Any, n: int) -> torch.Tensor:
    """Look the first rows up rather than read the weight, which is empty while it is offloaded."""
    rows: torch.Tensor = table(torch.arange(n, device=standing(table.weight)))
    return rows.float().cpu()


def _check_vocabulary(tokenizer: Any, moesd: MoESD) -> None:
    found, needed = tokenizer.get_vocab(), moesd.encoder.tokenizer.get_vocab()
    if other := [word for word, number in needed.items() if found.get(word) != number]:
        raise ModelError(
            f"the pipeline's vocabulary differs from that of {moesd.encoder.id!r} in {len(other)} "
            f"words such as {other[0]!r}; train the correction on this model"
        )
