"""Points of a text encoder at which states are read or replaced."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from probe.errors import ModelError
from probe.text.encoding.conditioning import Conditioning
from probe.text.encoding.layers import (
    Edit,
    after,
    before,
    find_final_norm,
    find_layers,
    without,
)

SITES = ("residual", "attention", "mlp")
"""Sites of a layer: the residual stream after it, and the two outputs that it adds."""
HEADS = "heads"
"""The concatenated outputs of the heads, before the output projection of attention."""

Point = tuple[str, int]
"""A site and a layer. Layer 0 is the input of the first layer, and has a residual only."""

PARTS = (
    ("self_attn.out_proj", "mlp.fc2"),  # CLIP, OpenCLIP, SigLIP
    ("attention.output.dense", "output.dense"),  # BERT, RoBERTa, MiniLM
    ("attention.attn.o", "output.dense"),  # MPNet
    ("layer.0.SelfAttention.o", "layer.1.DenseReluDense.wo"),  # T5
    ("attention.out_lin", "ffn.lin2"),  # DistilBERT
    ("self_attn.o_proj", "mlp.down_proj"),  # Gemma, Llama, Mistral, Phi 3, Qwen
)
"""By family, the output projection of attention and the last linear layer of the MLP in a layer:
the modules whose outputs are added to the residual stream, but in Gemma 2 and 3."""
_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
"""What Gemma 2 and 3 add instead: the two outputs, normalised. A layer of another decoder may have
the first, before its MLP, but never the second."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """The parts of one encoder, first layer first."""

    layers: tuple[nn.Module, ...]
    joins: tuple[nn.Linear, ...]
    """The output projection of attention, which takes the concatenated heads."""
    attention: tuple[nn.Module, ...]
    """The modules whose outputs are added to the residual stream; so is `mlp`."""
    mlp: tuple[nn.Module, ...]
    n_heads: int
    final_norm: nn.Module | None
    """The normalisation after the last layer; None where there is none, or it is not applied."""
    hidden: slice
    """Tokens of an instruction: edits neither see nor change their states."""

    @property
    def n_features(self) -> int:
        """Width of the residual stream."""
        return int(self.joins[0].out_features)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def points(self, site: str) -> tuple[Point, ...]:
        """All points of a site, in the order of the layers."""
        if site not in (*SITES, HEADS):
            raise ValueError(f"site {site!r} is not there; choose from {[*SITES, HEADS]}")
        first = 0 if site == "residual" else 1
        return tuple((site, layer) for layer in range(first, self.n_layers + 1))

    @contextmanager
    def hooked(self, edits: Mapping[Point, Edit]) -> Iterator[None]:
        """Read or replace states at some points while the encoder runs within the block."""
        with ExitStack() as stack:
            for point, edit in edits.items():
                stack.callback(self._attach(point, edit).remove)
            yield

    def _attach(self, point: Point, edit: Edit) -> RemovableHandle:
        site, layer = point
        if self.hidden.stop:
            edit = partial(_edit_visible, edit=edit, hidden=self.hidden)
        if point == ("residual", 0):
            return before(self.layers[0], edit)
        if site == HEADS:
            return before(self.joins[layer - 1], edit)
        of_layers = {"residual": self.layers, "attention": self.attention, "mlp": self.mlp}
        return after(of_layers[site][layer - 1], edit)


def find_architecture(
    model: Any, conditioning: Conditioning | None = None, hidden: slice = slice(0, 0)
) -> Architecture:
    """Find the layers of a text encoder and their parts, by the names in `PARTS`.

    Layers after the one that a conditioning reads, and a last normalisation that it does not apply,
    are left out: they are not run. ``hidden`` is `TextEncoder.hidden`.
    """
    read = conditioning or Conditioning()
    every: list[Any] = list(find_layers(model))
    layers = tuple(every[: len(every) + 1 + read.layer])
    for names in PARTS:
        try:
            joins, outputs = ([layer.get_submodule(name) for layer in layers] for name in names)
            attention, mlp = joins, outputs
            if hasattr(layers[0], _NORMS[1]):
                attention, mlp = ([getattr(layer, name) for layer in layers] for name in _NORMS)
            return Architecture(
                layers=layers,
                joins=tuple(joins),
                attention=tuple(attention),
                mlp=tuple(mlp),
                n_heads=int(model.config.num_attention_heads),
                final_norm=find_final_norm(model) if read.final_norm else None,
                hidden=hidden,
            )
        except AttributeError:
            continue
    raise ModelError(
        f"the layers of {type(model).__name__} have parts of unknown names; add a row to "
        "probe.text.recording.architecture.PARTS"
    )


def _edit_visible(states: torch.Tensor, *, edit: Edit, hidden: slice) -> torch.Tensor | None:
    edited = edit(without(states, hidden))
    if edited is None:
        return None
    first = hidden.start
    return torch.cat([edited[:, :first], states[:, hidden], edited[:, first:]], dim=1)
