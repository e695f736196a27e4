"""A correction attached to a running diffusers pipeline, whose prompts and images it corrects."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from probe.arrays import Double, Float32
from probe.errors import ModelError
from probe.images.intervention import Intervention, corrected
from probe.images.models.conditions import Conditions
from probe.moesd.calls import image_seeds, observed
from probe.moesd.compatibility import (
    FIRST,
    check_fit,
    image_model_of,
    input_device,
    tokenizer_of,
)
from probe.moesd.correction import Correction, EncoderExperts
from probe.moesd.gate import Decision
from probe.moesd.routing import routed
from probe.moesd.unet_experts import RoutedUNet
from probe.text.encoder import TextEncoder

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"


class Attachment:
    """A correction attached to a running pipeline, routed as its router says.

    On this one object ``encode_prompt`` is overridden, and its class is replaced by a subclass of
    the same name whose ``__call__`` notes guidance scale and generators; experts of the U-Net are
    added as hooks. Weights and tokenizer are not changed. Any scheduler, guidance, negative prompts
    and offloading work. The experts act on the states of the pipeline's own text encoder, with its
    LoRAs and textual inversions; the gate reads the encoder it was fitted on, without them (a LoRA
    fused into the weights is invisible to it). Everything is corrected that the text encoder of the
    training gives the image model; what the others give is not.

    An image's route depends on its prompt and its seed; see `probe.moesd.calls.image_seeds`.
    Prompts given as embeddings, whose words are unknown, and ``clip_skip``, whose states are of
    another layer, are not corrected; the logger ``probe`` warns.
    A second attachment, and a correction that does not fit (see `check_fit`), are refused.
    """

    def __init__(self, pipeline: Any, correction: Correction) -> None:
        if "encode_prompt" in vars(pipeline):
            raise ValueError("a correction is attached to this pipeline already; detach it first")
        check_fit(pipeline, correction)
        self._pipeline, self._correction = pipeline, _on_pipeline(pipeline, correction)
        self._model = image_model_of(pipeline)
        self._plain, self._class = pipeline.encode_prompt, type(pipeline)
        self._routed = None
        if correction.unet_experts is not None:
            self._routed = RoutedUNet(self._model.network, correction.unet_experts)
        self._methods: dict[float, Intervention] = {}
        self._n_calls = 0
        self._is_encoding = False
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
        if self._is_encoding:  # a router that asks the denoiser encodes prompts of its own
            return self._plain(prompt, *args, **kwargs)
        self._is_encoding = True
        try:
            return self._encode_corrected(prompt, *args, **kwargs)
        finally:
            self._is_encoding = False

    def _encode_corrected(self, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        returned = list(self._plain(prompt, *args, **kwargs))
        if self._is_negative(prompt):
            return tuple(returned)
        reason = ""
        if prompt is None or kwargs.get("prompt_embeds") is not None:
            reason = "prompt_embeds are given, so their words are not known"
        elif kwargs.get("clip_skip"):
            reason = "with clip_skip the states are of another layer than the experts'"
        if reason:
            _logger.warning("%s: these images are not corrected", reason)
            self._set_routes([])
            return tuple(returned)
        names = {name: at for at, name in enumerate(self._model.returned) if name}
        given = Conditions({name: returned[at] for name, at in names.items()})
        prompts = [prompt] if isinstance(prompt, str) else list(prompt or ())
        n_each = len(given) // len(prompts)
        self._correction.read(prompts, given[::n_each])
        images = [prompt for prompt in prompts for _ in range(n_each)]
        seeds = image_seeds(self._call.get("generator"), len(images), n_calls=self._n_calls)
        method = self._method()
        conditions = method.conditions(images, seeds)
        self._set_routes([condition.route for condition in conditions])
        distinct = list(dict.fromkeys(conditions))
        plain = given[[conditions.index(condition) for condition in distinct]]
        with ExitStack() as stack:
            for part in self._correction.parts:
                encoder = getattr(self._pipeline, part.encoder.slot or FIRST)
                stack.enter_context(_lora_scaled(encoder, kwargs.get("lora_scale")))
            found = corrected(self._model, method, distinct, plain)
        found = found[[distinct.index(condition) for condition in conditions]]
        for name, at in names.items():
            returned[at] = found.tensors[name]
        return tuple(returned)

    def _is_negative(self, prompt: Any) -> bool:
        """Whether a prompt is the negative one, which FLUX.1 encodes and denoises on its own."""
        negative = self._call.get("negative_prompt")
        if negative is None or prompt is not negative or prompt is self._call.get("prompt"):
            return False
        if self._routed is not None:
            raise ModelError(
                "with true_cfg_scale the denoiser cannot tell negative prompts from others, which "
                "its experts correct; leave it out, or attach a correction trained with side 'text'"
            )
        return True

    def _method(self) -> Intervention:
        """Return the intervention at the guidance of the call, or at the pipeline's default."""
        scale = self._call.get("guidance_scale")
        if scale is None:
            scale = inspect.signature(self._class.__call__).parameters["guidance_scale"].default
        if scale not in self._methods:
            self._methods[scale] = routed(self._correction, self._model, guidance_scale=scale)
        return self._methods[scale]

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)


def _on_pipeline(pipeline: Any, correction: Correction) -> _OnPipeline:
    """Let a correction encode by a pipeline's text encoders."""
    kept = {of.name: getattr(correction, of.name) for of in fields(Correction)}
    kept["others"] = tuple(
        _PartOnPipeline(of.encoder, of.token, of.experts, pipeline=pipeline)
        for of in correction.others
    )
    return _OnPipeline(**kept, pipeline=pipeline)


@dataclass(frozen=True, eq=False)
class _PartOnPipeline(EncoderExperts):
    """Token and experts that encode by a pipeline's text encoder."""

    pipeline: Any = None

    @property
    def text_encoder(self) -> Any:
        """The pipeline's text encoder that the experts were trained on."""
        return getattr(self.pipeline, self.encoder.slot or FIRST)

    def encode_weighted(
        self, prompts: Sequence[str], weights: Double, *, encoder: TextEncoder | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        converted = self._converted(prompts)
        return super().encode_weighted(converted, weights, encoder=self._pipeline_encoder())

    def input_ids(self, prompts: Sequence[str]) -> torch.Tensor:
        return self.token.input_ids(self._pipeline_encoder(), self._converted(prompts))[0]

    def project(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        return self._pipeline_encoder().project(states, input_ids)

    def _pipeline_encoder(self) -> TextEncoder:
        """Return the pipeline's text encoder, read as the encoder of the training."""
        encoder = copy.copy(self.encoder)
        encoder.model = self.text_encoder
        encoder.tokenizer = tokenizer_of(self.pipeline, self.encoder)
        encoder.device = input_device(encoder.model.get_input_embeddings().weight)
        return encoder

    def _converted(self, prompts: Sequence[str]) -> list[str]:
        """Expand textual inversions of several vectors into several words, as the pipeline does."""
        convert = getattr(self.pipeline, "maybe_convert_prompt", None)
        given, words = list(prompts), tokenizer_of(self.pipeline, self.encoder)
        return given if convert is None else list(convert(given, words))


@dataclass(frozen=True, eq=False)
class _OnPipeline(_PartOnPipeline, Correction):
    """A correction that encodes by a pipeline's encoders, and whose gate reads its own encoder."""

    z: dict[str, Float32] = field(default_factory=dict)
    """Pooled states of the prompts of the call."""

    def read(self, prompts: Sequence[str], given: Conditions) -> None:
        """Pool prompts as the encoder that the gate was fitted on encodes them."""
        place = image_model_of(self.pipeline).place(self.encoder.slot)
        if self._has_adapters() or not place.states:
            z = self.encoder.embed(prompts)
        else:
            z = super().pool(prompts, place.read(given))
        self.z.clear()
        self.z.update(zip(prompts, z, strict=True))

    def pool(self, prompts: Sequence[str], states: torch.Tensor) -> Float32:
        return np.stack([self.z[prompt] for prompt in prompts])

    def decide(self, prompts: Sequence[str], z: Float32 | None = None) -> Decision:
        return super().decide(prompts, np.stack([self.z[prompt] for prompt in prompts]))

    def routes(self, prompts: Sequence[str]) -> list[str]:
        return self.routes_of(self.decide(prompts))

    def _has_adapters(self) -> bool:
        """Whether LoRA layers or new words were loaded into the pipeline's text encoder."""
        n_words = len(tokenizer_of(self.pipeline, self.encoder))
        return n_words != len(self.encoder.tokenizer) or any(
            hasattr(module, "base_layer") for module in self.text_encoder.modules()
        )


@contextmanager
def _lora_scaled(text_encoder: Any, scale: float | None) -> Iterator[None]:
    """Apply the ``lora_scale`` of ``encode_prompt`` to the text encoder's LoRAs."""
    from diffusers.utils import USE_PEFT_BACKEND, scale_lora_layers, unscale_lora_layers

    if scale is None or not USE_PEFT_BACKEND:
        yield
        return
    scale_lora_layers(text_encoder, scale)
    try:
        yield
    finally:
        unscale_lora_layers(text_encoder, scale)
