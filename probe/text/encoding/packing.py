"""Causal text encoders over a prefix tree: common beginnings of prompts are computed once.

Under causal attention the state of a token depends on earlier tokens only. So the states of all
prompts are those of their distinct prefixes, and a prompt's pooled state is that of its longest.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.activations import QuickGELUActivation

from probe.io.progress import Progress
from probe.text.encoding.prefix_tree import Pack, PrefixTree

PACK = 2048
"""Most nodes in one forward pass: enough for matrix products at full rate, in some megabytes."""

_BLOCK = 32  # nodes that attend to the same keys
_QUICK = 1.702  # quick_gelu(x) = x sigmoid(1.702 x) = silu(1.702 x) / 1.702


def can_pack(model: Any) -> bool:
    """Whether a model is a CLIP text model of unchanged layers, without adapters and hooks."""
    if not isinstance(model, CLIPTextModel | CLIPTextModelWithProjection):
        return False
    return all(map(_is_plain, model.modules()))


@torch.no_grad()
def end_states(
    model: Any,
    ids: npt.ArrayLike,
    lengths: npt.ArrayLike,
    *,
    layer: int = -1,
    final_norm: bool = True,
    pack_size: int = PACK,
    progress: Progress | None = None,
) -> torch.Tensor:
    """States at the last token of every sequence, of shape (n_sequences, n_features).

    ``model`` is one that `can_pack` accepts; ``ids`` and ``lengths`` are as for `PrefixTree.build`,
    ``layer`` and ``final_norm`` as for `probe.text.encoding.conditioning.Conditioning`.
    ``pack_size`` nodes are in one forward pass; ``progress`` is called with (done, total) distinct
    sequences after each.
    """
    # transformers' own encoder would attend from every node to the whole pack, and would run every
    # node through the last layer, where only the ends are wanted. The names of the layers are those
    # in a checkpoint, which stay equal across versions of transformers.
    text = getattr(model, "text_model", model)
    tree = PrefixTree.build(ids, lengths)
    ends, row_of_end = np.unique(tree.ends, return_inverse=True)
    layers = text.encoder.layers[: len(text.encoder.layers) + 1 + layer]
    like = text.final_layer_norm.weight
    states: torch.Tensor = like.new_empty(len(ends), len(like))
    n_done = 0
    for pack in tree.packs(pack_size):
        if len(pack.ends):
            stop = n_done + len(pack.ends)
            found = _run(text, pack, layers)
            states[n_done:stop] = text.final_layer_norm(found) if final_norm else found
            n_done = stop
            if progress is not None:
                progress(n_done, len(ends))
    return states[torch.from_numpy(row_of_end).to(like.device)]


def _is_plain(module: nn.Module) -> bool:
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    if next(module.parameters(recurse=False), None) is not None:
        return type(module) in (nn.Linear, nn.LayerNorm, nn.Embedding)
    return type(module).__module__.startswith(("torch.nn.", "transformers."))


def _run(text: Any, pack: Pack, layers: Any) -> torch.Tensor:
    """Run a pack through layers: the states of its ends, of shape (n_ends, n_features)."""
    device = text.final_layer_norm.weight.device
    attend = _Attention(text, pack)
    embeddings = text.embeddings
    x = embeddings.token_embedding(torch.from_numpy(pack.tokens).to(device))
    x += embeddings.position_embedding(torch.from_numpy(pack.depths).to(device))
    *others, last = layers
    for layer in others:
        x = _feed_forward(layer, _add(x, attend(layer, x), layer.self_attn.out_proj))
    ends = torch.from_numpy(pack.ends).to(device)
    attended = attend(last, x)[ends]
    return _feed_forward(last, _add(x[ends], attended, last.self_attn.out_proj))


class _Attention:
    """Attention of every node of a pack to itself and its ancestors, block by block."""

    def __init__(self, text: Any, pack: Pack) -> None:
        device = text.final_layer_norm.weight.device
        keys, mask = pack.blocks(_BLOCK)
        self.shape = (len(keys), -1, text.config.num_attention_heads)
        self.n_nodes = len(pack)
        self.n_padding = len(keys) * _BLOCK - len(pack)
        self.keys = torch.from_numpy(keys.ravel()).to(device)
        # Added to the scores; a boolean mask would be converted to this in every layer.
        self.mask = torch.zeros(mask.shape, dtype=text.dtype, device=device)
        self.mask.masked_fill_(torch.from_numpy(~mask).to(device), -torch.inf).unsqueeze_(1)

    def __call__(self, layer: Any, x: torch.Tensor) -> torch.Tensor:
        """Attention output of each node; of shape (n_nodes, n_features)."""
        attention = layer.self_attn
        normed = layer.layer_norm1(functional.pad(x, (0, 0, 0, self.n_padding)))
        query = self._by_head(attention.q_proj(normed))
        key, value = (
            self._by_head(projection(normed).index_select(0, self.keys))
            for projection in (attention.k_proj, attention.v_proj)
        )  # (n_blocks, n_heads, n_keys, n_head_features)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.mask)
        return mixed.transpose(1, 2).reshape(-1, x.shape[1])[: self.n_nodes]

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        blocks, _, heads = self.shape
        return rows.view(blocks, -1, heads, rows.shape[1] // heads).transpose(1, 2)


def _feed_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Add the MLP output of a layer to the residual stream, in place."""
    mlp = layer.mlp
    normed = layer.layer_norm2(x)
    hidden = mlp.fc1(normed)
    if isinstance(mlp.activation_fn, QuickGELUActivation):
        hidden = functional.silu(hidden.mul_(_QUICK), inplace=True)
        return _add(x, hidden, mlp.fc2, scale=1 / _QUICK)
    return _add(x, mlp.activation_fn(hidden), mlp.fc2)


def _add(
    x: torch.Tensor, inputs: torch.Tensor, linear: nn.Linear, *, scale: float = 1.0
) -> torch.Tensor:
    """Add ``linear(scale * inputs)`` to the residual stream, in place.

    Not by `torch.addmm`, whose last bits depend on the number of threads for narrow models.
    """
    return x.add_(functional.linear(inputs, linear.weight), alpha=scale).add_(linear.bias)
