"""States before and after any layer of a text encoder, and its pooled output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Siglip2TextModel,
    SiglipTextModel,
)

from probe.text.encoding.conditioning import Conditioning


class _ReachedError(Exception):
    """The wanted layer has been run; later ones are skipped."""


def layer_states(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layer: int,
    final_norm: bool,
) -> torch.Tensor:
    """Encode token ids up to a layer; gradients pass, and later layers are not run.

    ``input_ids`` and ``attention_mask`` are of shape (n_prompts, n_tokens). The result is
    transformers' ``hidden_states[layer]`` of shape (n_prompts, n_tokens, n_features), normalised on
    request; see `probe.text.encoding.conditioning.Conditioning`.
    """
    if layer == -1 and final_norm:
        last: torch.Tensor = model(input_ids, attention_mask=attention_mask).last_hidden_state
        return last
    reached: list[torch.Tensor] = []

    def keep(module: nn.Module, args: object, output: Any) -> None:
        reached.append(output[0] if isinstance(output, tuple) else output)
        raise _ReachedError

    handle = find_layers(model)[layer].register_forward_hook(keep)
    try:
        model(input_ids, attention_mask=attention_mask)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    norm = find_final_norm(model) if final_norm else None
    return reached[0] if norm is None else norm(reached[0])


def entering_states(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    depths: Sequence[int],
) -> list[torch.Tensor]:
    """States that enter some layers, of shape (n_prompts, n_tokens, n_features) each.

    ``depths`` are ascending; 0 is the first layer, which gets the embedded tokens. Layers from the
    last of them on are not run.
    """
    entered: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        entered.append(args[0] if args else options["hidden_states"])
        if len(entered) == len(depths):
            raise _ReachedError

    layers = find_layers(model)
    handles = [layers[at].register_forward_pre_hook(keep, with_kwargs=True) for at in depths]
    try:
        model(input_ids, attention_mask=attention_mask)
    except _ReachedError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return entered


def check_layer(model: Any, conditioning: Conditioning) -> None:
    """Refuse a layer or a normalisation that the model does not have.

    Raises
    ------
    ValueError
    """
    layer, n_layers = conditioning.layer, model.config.num_hidden_layers
    if layer == -1 and conditioning.final_norm:
        return
    if -layer > n_layers:
        raise ValueError(
            f"layer is {layer} but the encoder has {n_layers}; choose -{n_layers} to -1"
        )
    if conditioning.final_norm and find_final_norm(model) is None:
        raise ValueError(
            f"{type(model).__name__} has no final normalisation to put after layer {layer}; pass "
            "final_norm=False"
        )


def find_head(model: Any) -> nn.Module | None:
    """Module from the pooled last state to the pooled output; None without a pooled output."""
    if isinstance(model, CLIPTextModelWithProjection):
        return model.text_projection
    if isinstance(model, CLIPTextModel):
        return nn.Identity()
    return model.head if isinstance(model, SiglipTextModel | Siglip2TextModel) else None


def find_layers(model: Any) -> nn.ModuleList:
    """The list of a text encoder's layers."""
    n_layers = model.config.num_hidden_layers
    return next(
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    )


def find_final_norm(model: Any) -> nn.Module | None:
    """The normalisation after the last layer; None if each layer ends with one (BERT)."""
    for name, module in model.named_modules():
        path = name.split(".")
        if path[-1] == "final_layer_norm" and not any(part.isdigit() for part in path):
            return module  # type: ignore[no-any-return]
    return None
