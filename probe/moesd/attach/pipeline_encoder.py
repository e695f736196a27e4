"""The pipeline's own text encoder, with the LoRAs and textual inversions loaded into it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from probe.text.encoder import TextEncoder


def pipeline_encoder(pipeline: Any, trained: TextEncoder) -> TextEncoder:
    """Return the pipeline's first text encoder, read as the encoder of the training.

    Parameters
    ----------
    pipeline : DiffusionPipeline
        Its text encoder is neither changed nor moved to another device.
    trained : TextEncoder
    """
    encoder = copy.copy(trained)
    encoder.model, encoder.tokenizer = pipeline.text_encoder, pipeline.tokenizer
    encoder.device = input_device(encoder.model.get_input_embeddings().weight)
    return encoder


def has_adapters(pipeline: Any, trained: TextEncoder) -> bool:
    """Whether LoRA layers or new words were loaded into the pipeline's text encoder."""
    return len(pipeline.tokenizer) != len(trained.tokenizer) or any(
        hasattr(module, "base_layer") for module in pipeline.text_encoder.modules()
    )


def converted_prompts(pipeline: Any, prompts: Sequence[str]) -> list[str]:
    """Expand textual inversions of several vectors into several words, as the pipeline does."""
    convert = getattr(pipeline, "maybe_convert_prompt", None)
    return list(prompts) if convert is None else list(convert(list(prompts), pipeline.tokenizer))


@contextmanager
def lora_scaled(pipeline: Any, scale: float | None) -> Iterator[None]:
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


def input_device(weight: torch.Tensor) -> torch.device:
    """Return the device for inputs of a weight; accelerate moves those of an offloaded one."""
    return torch.device("cpu") if weight.is_meta else weight.device
