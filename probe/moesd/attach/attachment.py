"""A correction attached to a pipeline: it corrects every prompt and routes every image."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from probe.arrays import Float32
from probe.moesd.attach.compatibility import check_fit
from probe.moesd.attach.pipeline_encoder import (
    converted_prompts,
    has_adapters,
    lora_scaled,
    pipeline_encoder,
)
from probe.moesd.correction import Correction
from probe.moesd.unet_routing import RoutedUNet

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"


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

    Parameters
    ----------
    pipeline : DiffusionPipeline
    correction : Correction

    Raises
    ------
    ValueError
        If a correction is attached already.
    ModelError
        If the correction does not fit; see `probe.moesd.attach.compatibility.check_fit`.
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
        """Restore the pipeline, bit for bit.

        Raises
        ------
        ValueError
            If this correction is not attached.
        """
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
        routes = self._correction.routes_of(decision, z) if self._routed is not None else []
        self._set_routes([route for route in routes for _ in range(n_each)])
        rows = np.flatnonzero(decision.is_open)
        if not len(rows):
            return (conditioning, *rest)
        with lora_scaled(self._pipeline, kwargs.get("lora_scale")):
            states, _ = self._correction.encode_weighted(
                converted_prompts(self._pipeline, [prompts[row] for row in rows]),
                decision.weights[rows],
                encoder=pipeline_encoder(self._pipeline, self._correction.encoder),
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
        if has_adapters(self._pipeline, encoder):
            return encoder.embed(prompts)
        states = conditioning[:, : encoder.max_tokens, : encoder.n_features]
        return self._correction.pool(prompts, states)

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)
