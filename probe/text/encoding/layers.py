"""The layers of a text encoder: states at them, and hooks that read or replace states."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from probe.text.encoding.conditioning import Conditioning

Edit = Callable[[torch.Tensor], torch.Tensor | None]
"""Gets states, (n_prompts, n_tokens, width), and returns new ones, or None to keep them."""


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
    (states,) = _states_at([find_layers(model)[layer]], after, model, input_ids, attention_mask)
    norm = find_final_norm(model) if final_norm else None
    return states if norm is None else norm(states)


def pooled_output(
    model: Any, input_ids: torch.Tensor, states: torch.Tensor, *, layer: int, final_norm: bool
) -> torch.Tensor:
    """Compute CLIP's pooled output with given states in place of those of `layer_states`."""
    norm = find_final_norm(model) if final_norm else None
    at = find_layers(model)[layer] if norm is None else norm
    handle = after(at, lambda computed: states.to(computed))
    try:
        output = model(input_ids)
    finally:
        handle.remove()
    pooled: torch.Tensor | None = output.get("text_embeds")
    return output["pooler_output"] if pooled is None else pooled


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
    layers = find_layers(model)
    return _states_at([layers[at] for at in depths], before, model, input_ids, attention_mask)


def check_layer(model: Any, conditioning: Conditioning) -> None:
    """Refuse with a ValueError a layer or a normalisation that the model does not have."""
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
        if path[-1] in ("final_layer_norm", "norm") and not any(part.isdigit() for part in path):
            return module  # type: ignore[no-any-return]
    return None


def without(tokens: torch.Tensor, hidden: slice) -> torch.Tensor:
    """Leave out the tokens of an instruction: (n_prompts, n_tokens, ...)."""
    if hidden.start == hidden.stop:
        return tokens
    return torch.cat([tokens[:, : hidden.start], tokens[:, hidden.stop :]], dim=1)


def before(module: nn.Module, edit: Edit) -> RemovableHandle:
    """Read or replace the states that enter a module, until the handle is removed."""

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        edited = edit(args[0] if args else kwargs["hidden_states"])
        if edited is None:
            return None
        if args:
            return (edited, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": edited}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def after(module: nn.Module, edit: Edit) -> RemovableHandle:
    """Read or replace the states that a module returns, until the handle is removed."""

    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return edit(output)
        edited = edit(output[0])
        return None if edited is None else (edited, *output[1:])

    return module.register_forward_hook(hook)


def _states_at(
    modules: Sequence[nn.Module],
    hook: Callable[[nn.Module, Edit], RemovableHandle],
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
) -> list[torch.Tensor]:
    """States `before` or `after` some modules; nothing is run beyond the last of them."""
    reached: list[torch.Tensor] = []

    def keep(states: torch.Tensor) -> None:
        reached.append(states)
        if len(reached) == len(modules):
            raise _ReachedError

    handles = [hook(module, keep) for module in modules]
    try:
        model(input_ids, attention_mask=attention_mask)
    except _ReachedError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return reached
