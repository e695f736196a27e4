"""A correction attached to a running diffusers pipeline, whose prompts and images it corrects."""

import copy
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from probe.arrays import Double, Float32
from probe.errors import ModelError
from probe.images.intervention import Intervention
from probe.moesd.calls import image_seeds, observed
from probe.moesd.correction import Correction
from probe.moesd.gate import Decision
from probe.moesd.router import PREDICTED
from probe.moesd.routing import routed
from probe.moesd.unet_experts import RoutedUNet
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import KNOWN

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"
_TOLERANCE = 1e-2  # weights in half precision against the same in single


class Attachment:
    """A correction attached to a running pipeline, routed as its router says.

    On this one object ``encode_prompt`` is overridden, and its class is replaced by a subclass of
    the same name whose ``__call__`` notes guidance scale and generators; experts of the U-Net are
    added as hooks. Weights and tokenizer are not changed. Any scheduler, guidance, negative prompts
    and offloading work. The experts act on the states of the pipeline's own text encoder, with its
    LoRAs and textual inversions; the gate reads the encoder it was fitted on, without them (a LoRA
    fused into the weights is invisible to it). With several text encoders (Stable Diffusion XL and
    3) the states of the first are corrected; those of the others, and the pooled vector, are not.

    An image's route depends on its prompt and its seed; see `probe.moesd.calls.image_seeds`.
    Prompts given as embeddings, whose words are unknown, and ``clip_skip``, whose states are of
    another layer, are not corrected; the logger ``probe`` warns.
    A second attachment, and a correction that does not fit (see `check_fit`), are refused.
    """

    def __init__(self, pipeline: Any, correction: Correction) -> None:
        if "encode_prompt" in vars(pipeline):
            raise ValueError("a correction is attached to this pipeline already; detach it first")
        check_fit(pipeline, correction)
        kept = {name.name: getattr(correction, name.name) for name in fields(Correction)}
        self._pipeline, self._correction = pipeline, _OnPipeline(**kept, pipeline=pipeline)
        self._plain, self._class = pipeline.encode_prompt, type(pipeline)
        self._routed = None
        if correction.unet_experts is not None:
            self._routed = RoutedUNet(pipeline.unet, correction.unet_experts)
        self._methods: dict[float, Intervention] = {}
        self._n_calls = 0
        self._call: Mapping[str, Any] = {}
        pipeline.encode_prompt = self._encode_prompt
        pipeline.__class__ = observed(type(pipeline), self._note)
        setattr(pipeline, _MARK, self)

    def detach(self) -> None:
        """Restore the pipeline, bit for bit."""
        if vars(self._pipeline).get(_MARK) is not self:
            raise ValueError(
                "this correction is not attached to the pipeline; there is nothing to detach"
            )
        if self._routed is not None:
            self._routed.detach()
        self._pipeline.__class__ = self._class
        del self._pipeline.encode_prompt
        delattr(self._pipeline, _MARK)

    def __enter__(self) -> Any:
        return self._pipeline

    def __exit__(self, *error: object) -> None:
        if vars(self._pipeline).get(_MARK) is self:
            self.detach()

    def _note(self, call: Mapping[str, Any]) -> None:
        """Note the arguments of a call of the pipeline, and nothing after it."""
        self._call = call
        self._n_calls += bool(call) and call.get("generator") is None

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
        self._correction.read(prompts, conditioning[::n_each])
        images = [prompt for prompt in prompts for _ in range(n_each)]
        seeds = image_seeds(self._call.get("generator"), len(images), n_calls=self._n_calls)
        method, encoder = self._method(), self._correction.encoder
        conditions = method.conditions(images, seeds)
        self._set_routes([condition.route for condition in conditions])
        distinct = list(dict.fromkeys(conditions))
        # With several encoders the states of the first have the first features of the first tokens.
        part = (slice(None), slice(encoder.max_tokens), slice(encoder.n_features))
        states = conditioning[[conditions.index(condition) for condition in distinct]][part]
        with _lora_scaled(self._pipeline, kwargs.get("lora_scale")):
            found = method.correct(distinct, states)
        corrected = conditioning.clone()
        corrected[part] = found[[distinct.index(condition) for condition in conditions]]
        return (corrected, *rest)

    def _method(self) -> Intervention:
        """Return the intervention at the guidance of the call, or at the pipeline's default."""
        scale = self._call.get("guidance_scale")
        if scale is None:
            scale = inspect.signature(self._class.__call__).parameters["guidance_scale"].default
        if scale not in self._methods:
            self._methods[scale] = routed(self._correction, self._pipeline, guidance_scale=scale)
        return self._methods[scale]

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)


@dataclass(frozen=True, eq=False)
class _OnPipeline(Correction):
    """A correction that encodes by a pipeline's encoder, and whose gate reads its own encoder's."""

    pipeline: Any = None
    z: dict[str, Float32] = field(default_factory=dict)
    """Pooled states of the prompts of the call."""

    def read(self, prompts: Sequence[str], conditioning: torch.Tensor) -> None:
        """Pool prompts as the encoder that the gate was fitted on encodes them."""
        if _has_adapters(self.pipeline, self.encoder):
            z = self.encoder.embed(prompts)
        else:
            states = conditioning[:, : self.encoder.max_tokens, : self.encoder.n_features]
            z = super().pool(prompts, states)
        self.z.clear()
        self.z.update(zip(prompts, z, strict=True))

    def pool(self, prompts: Sequence[str], states: torch.Tensor) -> Float32:
        return np.stack([self.z[prompt] for prompt in prompts])

    def decide(self, prompts: Sequence[str], z: Float32 | None = None) -> Decision:
        return super().decide(prompts, np.stack([self.z[prompt] for prompt in prompts]))

    def routes(self, prompts: Sequence[str]) -> list[str]:
        return self.routes_of(self.decide(prompts))

    def encode_weighted(
        self, prompts: Sequence[str], weights: Double, *, encoder: TextEncoder | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        converted = _converted_prompts(self.pipeline, list(prompts))
        encoder = _pipeline_encoder(self.pipeline, self.encoder)
        return super().encode_weighted(converted, weights, encoder=encoder)


def check_fit(pipeline: Any, correction: Correction) -> None:
    """Refuse a pipeline that a correction was not trained for.

    The token states of its first text encoder must condition the images; that encoder must have the
    width, vocabulary and weights of the one of the training, beside textual inversions and LoRAs;
    and the experts in the U-Net must fit. A router that asks the denoiser for shares needs the
    U-Net of Stable Diffusion v1 or v2.
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
    kind, unet = correction.router.kind, getattr(pipeline, "unet", None)
    if kind in PREDICTED and (unet is None or unet.config.addition_embed_type):
        raise ModelError(
            f"the router {kind!r} asks the denoiser for shares, and a {name} cannot be asked; "
            "needed a pipeline of Stable Diffusion v1.x or v2.x, or another router"
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
