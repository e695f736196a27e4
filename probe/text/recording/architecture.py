"""Points of a text encoder at which states are read or replaced."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from probe.errors import ModelError
from probe.text.encoding.conditioning import Conditioning
from probe.text.encoding.layers import Edit, after, before, find_final_norm, find_layers

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
)
"""By family, the output projection of attention and the last linear layer of the MLP in a layer:
the modules whose outputs are added to the residual stream."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """The parts of one encoder, first layer first."""

    layers: tuple[nn.Module, ...]
    attention: tuple[nn.Linear, ...]
    mlp: tuple[nn.Module, ...]
    n_heads: int
    final_norm: nn.Module | None
    """The normalisation after the last layer; None where there is none, or it is not applied."""

    @property
    def n_features(self) -> int:
        """Width of the residual stream."""
        return int(self.attention[0].out_features)

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
        if point == ("residual", 0):
            return before(self.layers[0], edit)
        if site == HEADS:
            return before(self.attention[layer - 1], edit)
        of_layers = {"residual": self.layers, "attention": self.attention, "mlp": self.mlp}
        return after(of_layers[site][layer - 1], edit)


def find_architecture(model: Any, conditioning: Conditioning | None = None) -> Architecture:
    """Find the layers of a text encoder and their parts, by the names in `PARTS`.

    Layers after the one that a conditioning reads, and a last normalisation that it does not apply,
    are left out: they are not run.
    """
    read = conditioning or Conditioning()
    every: list[Any] = list(find_layers(model))
    layers = tuple(every[: len(every) + 1 + read.layer])
    for attention, mlp in PARTS:
        try:
            return Architecture(
                layers=layers,
                attention=tuple(layer.get_submodule(attention) for layer in layers),
                mlp=tuple(layer.get_submodule(mlp) for layer in layers),
                n_heads=int(model.config.num_attention_heads),
                final_norm=find_final_norm(model) if read.final_norm else None,
            )
        except AttributeError:
            continue
    raise ModelError(
        f"the layers of {type(model).__name__} have parts of unknown names; add a row to "
        "probe.text.recording.architecture.PARTS"
    )
