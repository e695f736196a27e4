"""States by layer and by token: the residual stream, attention outputs and MLP outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from probe.arrays import Float32, Indices
from probe.errors import DataError
from probe.text.encoder import TextEncoder
from probe.text.encoding.tokenization import batches_by_length
from probe.text.prompts import PromptSet, check_no_string
from probe.text.recording.architecture import SITES, find_architecture
from probe.text.recording.token_roles import ROLES, TokenMask, token_roles

POSITIONS = (*ROLES, "pooled")
"""Roles of tokens, and ``"pooled"``: the encoder's pooling of the states of a layer."""


@dataclass(frozen=True, eq=False)
class Recording:
    """States of prompts at some layers and positions of an encoder."""

    states: dict[str, Float32]
    """Site -> shape (n_layers, n_prompts, n_positions, n_features), not normalised."""
    layers: dict[str, tuple[int, ...]]
    """Site -> the layer of each entry; 0 is the input of the first layer."""
    positions: tuple[str, ...]
    """Labels of the third axis."""
    encoder: str
    """Encoder id and revision."""

    def at(self, site: str, layer: int, position: str) -> Float32:
        """States at one place, shape (n_prompts, n_features)."""
        if layer not in self.layers.get(site, ()) or position not in self.positions:
            raise ValueError(
                f"nothing was recorded at {site!r}, layer {layer}, position {position!r}; there "
                f"are {self.layers} at {list(self.positions)}"
            )
        entry, column = self.layers[site].index(layer), self.positions.index(position)
        found: Float32 = self.states[site][entry, :, column]
        return found


@torch.no_grad()
def record(
    encoder: TextEncoder,
    prompts: PromptSet | Sequence[str],
    *,
    sites: Sequence[str] = SITES,
    positions: Sequence[str] = ("start", "subject", "end"),
    batch_size: int = 256,
) -> Recording:
    """Record the states of prompts by layer and by token.

    Prompts are encoded once, sorted by length; only the wanted positions of each batch are kept.

    Parameters
    ----------
    encoder : TextEncoder
        CLIP, SigLIP, T5, a BERT-like or a decoder-only one; see
        `probe.text.recording.architecture.PARTS`.
    prompts : PromptSet or sequence of str
        Of plain strings only ``start``, ``end`` and ``pooled`` can be recorded.
    sites : sequence of str
        ``"residual"``: the stream after a layer, before any final normalisation;
        ``"attention"``, ``"mlp"``: the outputs that a layer adds to it. BERT normalises the sum
        after each part, all others the input of a part.
    positions : sequence of str
        Of `POSITIONS`; of a role of several tokens, the last one.
    batch_size : int, default=256
        Prompts that are encoded at a time.
    """
    check_no_string("prompts", prompts if not isinstance(prompts, PromptSet) else ())
    texts = prompts.prompts if isinstance(prompts, PromptSet) else list(prompts)
    if not texts:
        raise DataError("there are no prompts to record; needed at least 1")
    architecture = find_architecture(encoder.model, encoder.conditioning, encoder.hidden)
    chosen = {
        site: tuple(layer for _, layer in architecture.points(site))
        for site in dict.fromkeys(sites)
    }
    roles = token_roles(encoder, prompts)
    n_tokens = roles["all"].sum(axis=1)
    places = _places(roles, positions, texts)
    shape = (len(texts), len(positions), architecture.n_features)
    states = {site: np.empty((len(found), *shape), np.float32) for site, found in chosen.items()}
    ids = encoder.tokenize(texts)
    for rows in batches_by_length(n_tokens, batch_size):
        batch = ids[rows] if encoder.needs_padding else ids[rows, : n_tokens[rows].max()]
        keep = partial(_keep, encoder=encoder, ids=batch, places=places, rows=rows)
        edits = {
            (site, layer): partial(keep, target=states[site][entry])
            for site, found in chosen.items()
            for entry, layer in enumerate(found)
        }
        with architecture.hooked(edits):
            encoder.forward_ids(batch)
    return Recording(states, chosen, tuple(positions), encoder=f"{encoder.id}@{encoder.revision}")


def _places(
    roles: Mapping[str, TokenMask], positions: Sequence[str], texts: Sequence[str]
) -> dict[str, Indices]:
    """The token of each prompt, by position."""
    places = {}
    for name in positions:
        if name not in POSITIONS:
            raise ValueError(f"position {name!r} is not there; choose from {list(POSITIONS)}")
        mask = roles["all" if name == "pooled" else name]
        if not (found := mask.any(axis=1)).all():
            raise DataError(
                f"{int((~found).sum())} of {len(texts)} prompts have no token of role {name!r}, "
                f"the first is {texts[int(found.argmin())]!r}; record them apart, without it"
            )
        places[name] = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    return places


def _keep(
    states: torch.Tensor,
    *,
    encoder: TextEncoder,
    ids: torch.Tensor,
    places: Mapping[str, Indices],
    rows: Indices,
    target: Float32,
) -> None:
    """Write the states of a batch at the wanted positions into the rows of a target."""
    prompts = torch.arange(len(states))
    kept = [
        encoder.pool(states, ids)
        if name == "pooled"
        else states[prompts, torch.from_numpy(place[rows])]
        for name, place in places.items()
    ]
    target[rows] = torch.stack(kept, dim=1).float().cpu().numpy()
