"""A correction attached to a running diffusers pipeline, whose prompts and images it corrects."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from probe.arrays import Float32
from probe.errors import ModelError
from probe.moesd.correction import Correction
from probe.moesd.unet_experts import RoutedUNet
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import KNOWN

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"
_TOLERANCE = 1e-2  # weights in half precision against the same in single


class Attachment:
    """A correction attached to a running pipeline.

    ``encode_prompt`` is overridden on this one object, and experts of the U-Net are added as hooks;
    weights, tokenizer and classes are not changed. Any scheduler, guidance, negative prompts and
    offloading work. The experts act on the states of the pipeline's own text encoder, with its
    LoRAs and textual inversions; the gate reads the encoder it was fitted on, without them (a LoRA
    fused into the weights is invisible to it). With several text encoders (Stable Diffusion XL and
    3) the states of the first are corrected; those of the others, and the pooled vector, are not.

    Prompts given as embeddings, whose words are unknown, and ``clip_skip``, whose states are of
    another layer, are not corrected; the logger ``probe`` warns.
    A second attachment, and a correction that does not fit (see `check_fit`), are refused.
    """

    def __init__(self, pipeline: Any, correction: Correction) -> None:
        if "encode_prompt" in vars(pipeline):
            raise ValueError("a correction is attached to this pipeline already; detach it first")
        check_fit(pipeline, correction)
        self._pipeline, self._correction = pipeline, correction
        self._plain = pipeline.encode_prompt
        self._routed = None
        if correction.unet_experts is not None:
            self._routed = RoutedUNet(pipeline.unet, correction.unet_experts)
        pipeline.encode_prompt = self._encode_prompt
        setattr(pipeline, _MARK, self)

    def detach(self) -> None:
        """Restore the pipeline, bit for bit."""
        if vars(self._pipeline).get(_MARK) is not self:
            raise ValueError(
                "this correction is not attached to the pipeline; there is nothing to detach"
            )
        if self._routed is not None:
            self._routed.detach()
        del self._pipeline.encode_prompt
        delattr(self._pipeline, _MARK)

    def __enter__(self) -> Any:
        return self._pipeline

    def __exit__(self, *error: object) -> None:
        if vars(self._pipeline).get(_MARK) is self:
            self.detach()

    def _encode_prompt(
        self, prompt: str | list[str] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        conditioning, *rest = self._plain(prompt, *args, **kwargs)
        reason = ""
        if prompt is None or kwargs.get("prompt_embeds") is not None:
            reason = "prompt_embeds are given, so their words are not known"
        elif kwargs.get("clip_skip"):
            reason = "with clip_skip the states are of another layer than the experts'"
        if reason:
            _logger.warning("%s: these images are not corrected", reason)
            self._set_routes([])
            return (conditioning, *rest)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt or ())
        n_each = len(conditioning) // len(prompts)
        z = self._pooled(prompts, conditioning[::n_each])
        decision = self._correction.decide(prompts, z)
        routes = self._correction.routes_of(decision)
        self._set_routes([route for route in routes for _ in range(n_each)])
        rows = np.flatnonzero(decision.is_open)
        if not len(rows):
            return (conditioning, *rest)
        with _lora_scaled(self._pipeline, kwargs.get("lora_scale")):
            states, _ = self._correction.encode_weighted(
                _converted_prompts(self._pipeline, [prompts[row] for row in rows]),
                decision.weights[rows],
                encoder=_pipeline_encoder(self._pipeline, self._correction.encoder),
            )
        corrected = conditioning.clone()
        # With several encoders the states of the first have the first features of the first tokens.
        _, n_tokens, n_features = states.shape
        ours = corrected.unflatten(0, (len(prompts), n_each))[:, :, :n_tokens, :n_features]
        ours[torch.from_numpy(rows)] = states.unsqueeze(1).to(ours)
        return (corrected, *rest)

    def _pooled(self, prompts: list[str], conditioning: torch.Tensor) -> Float32:
        """Pool prompts as the encoder that the gate was fitted on encodes them."""
        encoder = self._correction.encoder
        if _has_adapters(self._pipeline, encoder):
            return encoder.embed(prompts)
        states = conditioning[:, : encoder.max_tokens, : encoder.n_features]
        return self._correction.pool(prompts, states)

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)


def check_fit(pipeline: Any, correction: Correction) -> None:
    """Refuse a pipeline that a correction was not trained for.

    The token states of its first text encoder must condition the images; that encoder must have the
    width, vocabulary and weights of the one of the training, beside textual inversions and LoRAs;
    and the experts in the U-Net must fit.
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
    rows: torch.Tensor = table(torch.arange(n, device=_input_device(table.weight)))
    return rows.float().cpu()


def _check_vocabulary(tokenizer: Any, correction: Correction) -> None:
    found, needed = tokenizer.get_vocab(), correction.encoder.tokenizer.get_vocab()
    if other := [word for word, number in needed.items() if found.get(word) != number]:
        raise ModelError(
            f"the pipeline's vocabulary differs from that of {correction.encoder.id!r} in "
            f"{len(other)} words such as {other[0]!r}; train the correction on this model"
        )


def _pipeline_encoder(pipeline: Any, trained: TextEncoder) -> TextEncoder:
    """Return the pipeline's first text encoder, read as the encoder of the training."""
    encoder = copy.copy(trained)
    encoder.model, encoder.tokenizer = pipeline.text_encoder, pipeline.tokenizer
    encoder.device = _input_device(encoder.model.get_input_embeddings().weight)
    return encoder


def _has_adapters(pipeline: Any, trained: TextEncoder) -> bool:
    """Whether LoRA layers or new words were loaded into the pipeline's text encoder."""
    return len(pipeline.tokenizer) != len(trained.tokenizer) or any(
        hasattr(module, "base_layer") for module in pipeline.text_encoder.modules()
    )


def _converted_prompts(pipeline: Any, prompts: list[str]) -> list[str]:
    """Expand textual inversions of several vectors into several words, as the pipeline does."""
    convert = getattr(pipeline, "maybe_convert_prompt", None)
    return prompts if convert is None else list(convert(prompts, pipeline.tokenizer))


@contextmanager
def _lora_scaled(pipeline: Any, scale: float | None) -> Iterator[None]:
    """Apply the ``lora_scale`` of ``encode_prompt`` to the text encoder's LoRAs."""
    from diffusers.utils import USE_PEFT_BACKEND, scale_lora_layers, unscale_lora_layers

    if scale is None or not USE_PEFT_BACKEND:
        yield
        return
    scale_lora_layers(pipeline.text_encoder, scale)
    try:
        yield
    finally:
        unscale_lora_layers(pipeline.text_encoder, scale)


def _input_device(weight: torch.Tensor) -> torch.device:
    """Return the device for inputs of a weight; accelerate moves those of an offloaded one."""
    return torch.device("cpu") if weight.is_meta else weight.device
