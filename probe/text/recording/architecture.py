"""The layers of a text encoder, and hooks on them that are always removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from probe.errors import ModelError

SITES = ("residual", "attention", "mlp")
"""Sites of a layer: the residual stream after it, and the two outputs that it adds."""
HEADS = "heads"
"""The concatenated outputs of the heads, before the output projection of attention."""

Point = tuple[str, int]
"""A site and a layer. Layer 0 is the input of the first layer, and has a residual only."""
Edit = Callable[[torch.Tensor], torch.Tensor | None]
"""Gets the states at a point, (n_prompts, n_tokens, width), and returns new ones or None."""


@dataclass(frozen=True)
class Family:
    """Names of the parts of a family of encoders."""

    layers: str
    """Relative to the model or a part of it; the next two are relative to a layer."""
    attention: str
    """The output projection of attention, whose output is added to the stream."""
    mlp: str
    """The last linear layer of the MLP, whose output is added to the stream."""
    final_norm: str | None = None
    """The normalisation after the last layer, relative to the same module as ``layers``."""


FAMILIES = (
    # CLIP, OpenCLIP, SigLIP
    Family("encoder.layers", "self_attn.out_proj", "mlp.fc2", "final_layer_norm"),
    # BERT, RoBERTa, MiniLM
    Family("encoder.layer", "attention.output.dense", "output.dense"),
    # T5
    Family(
        "encoder.block",
        "layer.0.SelfAttention.o",
        "layer.1.DenseReluDense.wo",
        "encoder.final_layer_norm",
    ),
    # DistilBERT
    Family("transformer.layer", "attention.out_lin", "ffn.lin2"),
)


@dataclass(frozen=True, eq=False)
class Architecture:
    """The parts of one encoder, first layer first."""

    layers: tuple[nn.Module, ...]
    attention: tuple[nn.Linear, ...]
    mlp: tuple[nn.Module, ...]
    n_heads: int
    final_norm: nn.Module | None
    """The normalisation after the last layer; None where every layer ends with one."""

    @property
    def n_features(self) -> int:
        """Width of the residual stream."""
        return int(self.attention[0].out_features)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def points(self, site: str) -> tuple[Point, ...]:
        """All points of a site, in the order of the layers.

        Raises
        ------
        ValueError
            If there is no such site.
        """
        if site not in (*SITES, HEADS):
            raise ValueError(f"site {site!r} is not there; choose from {[*SITES, HEADS]}")
        first = 0 if site == "residual" else 1
        return tuple((site, layer) for layer in range(first, self.n_layers + 1))

    @contextmanager
    def hooked(self, edits: Mapping[Point, Edit]) -> Iterator[None]:
        """Read or replace states while the encoder runs within the block.

        The hooks are removed at the end of the block, also after an error.

        Parameters
        ----------
        edits : mapping from point to function
            The function gets the states at the point; a tensor that it returns replaces them.
        """
        with ExitStack() as stack:
            for point, edit in edits.items():
                stack.callback(self._attach(point, edit).remove)
            yield

    def _attach(self, point: Point, edit: Edit) -> RemovableHandle:
        site, layer = point
        if site == HEADS:
            return _before(self.attention[layer - 1], edit)
        if site == "residual":
            return (
                _before(self.layers[0], edit)
                if layer == 0
                else _after(self.layers[layer - 1], edit)
            )
        return _after(getattr(self, site)[layer - 1], edit)


def find_architecture(model: Any) -> Architecture:
    """Find the layers of a text encoder and their parts.

    Raises
    ------
    ModelError
        If its parts have unknown names.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    for family in FAMILIES:
        for name, layers in modules.items():
            root = name.removesuffix(family.layers)  # "text_model." in a CLIP with projection
            if root == name or not (root == "" or root.endswith(".")):
                continue
            attention, mlp = (
                [f"{name}.{number}.{part}" for number in range(len(layers))]
                for part in (family.attention, family.mlp)
            )
            if modules.keys() >= {*attention, *mlp}:
                return Architecture(
                    layers=tuple(layers),
                    attention=tuple(modules[part] for part in attention),
                    mlp=tuple(modules[part] for part in mlp),
                    n_heads=int(model.config.num_attention_heads),
                    final_norm=modules.get(f"{root}{family.final_norm}"),
                )
    known = ", ".join(family.layers for family in FAMILIES)
    raise ModelError(
        f"{type(model).__name__} has no layers under a known name; needed one of {known}: add a "
        "row to probe.text.recording.architecture.FAMILIES"
    )


def _before(module: nn.Module, edit: Edit) -> RemovableHandle:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        edited = edit(states)
        if edited is None:
            return None
        if args:
            return (edited, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": edited}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _after(module: nn.Module, edit: Edit) -> RemovableHandle:
    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return edit(output)
        edited = edit(output[0])
        return None if edited is None else (edited, *output[1:])

    return module.register_forward_hook(hook)
