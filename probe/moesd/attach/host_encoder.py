"""The pipeline's own text encoder: what was loaded into it stays at work under a correction."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from probe.text.encoder import TextEncoder


def host_encoder(pipeline: Any, trained: TextEncoder) -> TextEncoder:
    """Give the pipeline's first text encoder, read as the one that the correction was trained on.

    Parameters
    ----------
    pipeline : DiffusionPipeline
        Its text encoder is not changed, nor moved to another device.
    trained : TextEncoder
    """
    host = copy.copy(trained)
    host.model, host.tokenizer = pipeline.text_encoder, pipeline.tokenizer
    host.device = standing(host.model.get_input_embeddings().weight)
    return host


def carries_more(pipeline: Any, trained: TextEncoder) -> bool:
    """Say whether the pipeline's text encoder has LoRA layers or words that were loaded into it."""
    return len(pipeline.tokenizer) != len(trained.tokenizer) or any(
        hasattr(module, "base_layer") for module in pipeline.text_encoder.modules()
    )


def written(pipeline: Any, prompts: Sequence[str]) -> list[str]:
    """Write prompts as the pipeline reads them: an inversion of several vectors is several words.

    Parameters
    ----------
    pipeline : DiffusionPipeline
    prompts : sequence of str
    """
    convert = getattr(pipeline, "maybe_convert_prompt", None)
    return list(prompts) if convert is None else list(convert(list(prompts), pipeline.tokenizer))


@contextmanager
def scaled(pipeline: Any, scale: float | None) -> Iterator[None]:
    """Weight the LoRAs of the text encoder, as ``encode_prompt`` does while it runs.

    Parameters
    ----------
    pipeline : DiffusionPipeline
    scale : float or None
        The ``lora_scale`` of ``encode_prompt``.
    """
    from diffusers.utils import USE_PEFT_BACKEND, scale_lora_layers, unscale_lora_layers

    if scale is None or not USE_PEFT_BACKEND:
        yield
        return
    scale_lora_layers(pipeline.text_encoder, scale)
    try:
        yield
    finally:
        unscale_lora_layers(pipeline.text_encoder, scale)


def standing(weight: torch.Tensor) -> torch.device:
    """Say where inputs for a weight belong; one that accelerate has offloaded fetches them."""
    return torch.device("cpu") if weight.is_meta else weight.device
