"""Where the layers of a text encoder stand, and hooks on them that are always removed."""

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
"""What a layer is read at: the stream behind it, and the two things it adds to the stream."""
HEADS = "heads"
"""The heads' outputs side by side, before the projection that makes the attention output."""

Point = tuple[str, int]
"""A site and a layer. Layer 0 is what enters the first layer, and has a residual only."""
Edit = Callable[[torch.Tensor], torch.Tensor | None]
"""Gets the states at a point, (n_prompts, n_tokens, width); what it returns takes their place."""


@dataclass(frozen=True)
class Family:
    """How a family of encoders names its parts; the last two are told from a layer."""

    layers: str
    attention: str
    """The linear layer that joins the heads; what it returns is added to the stream."""
    mlp: str
    """The last linear layer of the MLP; what it returns is added to the stream."""


FAMILIES = (
    Family("encoder.layers", "self_attn.out_proj", "mlp.fc2"),  # CLIP, OpenCLIP, SigLIP
    Family("encoder.layer", "attention.output.dense", "output.dense"),  # BERT, RoBERTa, MiniLM
    Family("encoder.block", "layer.0.SelfAttention.o", "layer.1.DenseReluDense.wo"),  # T5
    Family("transformer.layer", "attention.out_lin", "ffn.lin2"),  # DistilBERT
)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one encoder, first layer first."""

    layers: tuple[nn.Module, ...]
    attention: tuple[nn.Linear, ...]
    mlp: tuple[nn.Module, ...]
    n_heads: int

    @property
    def n_features(self) -> int:
        """Width of the stream."""
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

        The hooks are removed when the block is left, whatever happens in it.

        Parameters
        ----------
        edits : mapping from point to function
            The function gets the states at the point; if it returns a tensor, the encoder goes on
            with that.
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


def find_anatomy(model: nn.Module) -> Anatomy:
    """Find the layers of a text encoder and what they add to the stream.

    Raises
    ------
    ModelError
        If its parts have none of the names that are known.
    """
    for name, module in model.named_modules():
        for family in FAMILIES:
            if isinstance(module, nn.ModuleList) and f".{name}".endswith(f".{family.layers}"):
                layers = tuple(module)
                if parts := _parts(layers, family):
                    config: Any = model.config
                    return Anatomy(layers, *parts, n_heads=int(config.num_attention_heads))
    known = ", ".join(family.layers for family in FAMILIES)
    raise ModelError(
        f"{type(model).__name__} has no layers under a known name; needed one of {known}: add a "
        "row to probe.text.anatomy.FAMILIES"
    )


def _parts(layers: tuple[nn.Module, ...], family: Family) -> tuple[Any, Any] | None:
    try:
        return (
            tuple(layer.get_submodule(family.attention) for layer in layers),
            tuple(layer.get_submodule(family.mlp) for layer in layers),
        )
    except AttributeError:
        return None


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
