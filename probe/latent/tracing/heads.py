"""Which attention heads make a pair's difference, directly and by activation patching."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from probe.arrays import Double, Vector
from probe.errors import ModelError
from probe.latent.directions import BiasDirection
from probe.latent.tracing.bands import occupation_draws, shares_of_difference
from probe.latent.tracing.counterfactuals import (
    Counterfactuals,
    align,
    axis_of,
    batches,
    patched_scores,
    read,
)
from probe.stats.resampling import BOOTSTRAP, Resampling
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet
from probe.text.recording.architecture import HEADS, Architecture, find_architecture

KINDS = ("direct", "patching")
COLUMNS = ("layer", "site", "head", "measure", "value", "low", "high", "control", "n")

_Part = tuple[int, str, int]  # layer, site, head


def attribute_heads(
    encoder: TextEncoder,
    prompts: PromptSet,
    *,
    direction: BiasDirection | Vector | None = None,
    kinds: Sequence[str] | None = None,
    resampling: Resampling = BOOTSTRAP,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Attribute a pair's difference to the attention heads, in one or two ways.

    ``direct``: what a head itself adds to the end of the prompt, along the bias axis. The
    stream is a sum of the embedding, all heads, all biases and all MLPs; the last normalisation is
    kept at the scale that it has in each prompt, so that the parts of a prompt add up to its place
    on the axis, and the shares of all rows to 1. Only for encoders that add to the stream and
    normalise it once at the end (CLIP).

    ``patching``: the effect of putting the head's output of the male counterfactual, at every
    token, into the female prompt, as in `probe.latent.tracing.patching.patch_states`. It also
    counts what later layers make of the head's output, so that these shares need not add up to 1.

    Parameters
    ----------
    encoder, prompts, direction, resampling, batch_size
        As for `probe.latent.tracing.patching.patch_states`.
    kinds : sequence of str, optional
        Of `KINDS`; by default both where the layers end in one LayerNorm, else ``"patching"``.

    Returns
    -------
    DataFrame of `COLUMNS`
        Shares of the difference between male and female prompts; 0 means no part in it, a
        negative share works against it. Besides the rows of site ``"head"``, ``direct`` has the
        other parts (``"embedding"``, ``"bias"`` of the attention, ``"mlp"``, ``"norm"``), with
        head -1. ``n`` counts pairs.

    Raises
    ------
    ModelError
        If ``direct`` is asked for and the end state is no sum of parts.
    ValueError, DataError, DegenerateDataError
        As for `patch_states`.

    References
    ----------
    Elhage et al., *A Mathematical Framework for Transformer Circuits* (2021), for direct paths;
    Vig et al., NeurIPS 2020, for effects of heads.
    """
    architecture = find_architecture(encoder.model, encoder.conditioning, encoder.hidden)
    counterfactuals = align(encoder, prompts)
    if kinds is None:
        kinds = KINDS if isinstance(architecture.final_norm, nn.LayerNorm) else ("patching",)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kind {unknown[0]!r} is not there; choose from {list(KINDS)}")
    axis = axis_of(encoder, prompts, direction)
    draws = occupation_draws(int(counterfactuals.groups.max()) + 1, resampling=resampling)
    tables = []
    for kind in dict.fromkeys(kinds):
        measure = _direct if kind == "direct" else _patched
        parts, shares, whole = measure(encoder, architecture, counterfactuals, axis, batch_size)
        is_there = np.ones(shares.shape, dtype=bool)
        effect = shares_of_difference(shares, is_there, whole, counterfactuals.groups, draws)
        names = pd.DataFrame(parts, columns=["layer", "site", "head"])
        tables.append(names.join(effect).assign(measure=kind))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _patched(
    encoder: TextEncoder,
    architecture: Architecture,
    counterfactuals: Counterfactuals,
    axis: torch.Tensor,
    batch_size: int,
) -> tuple[list[_Part], Double, Double]:
    n_heads = architecture.n_heads
    points = architecture.points(HEADS)
    width = architecture.joins[0].in_features
    of_head = torch.arange(width) // (width // n_heads) == torch.arange(n_heads)[:, None]
    masks = dict.fromkeys(points, of_head[:, None, None, :])
    scores = patched_scores(
        encoder, architecture, counterfactuals, masks, axis, batch_size=batch_size
    )
    parts = [(layer, "head", head) for _, layer in points for head in range(n_heads)]
    effects = (scores.patched - scores.female).reshape(-1, len(counterfactuals))
    return parts, effects, scores.male - scores.female


def _direct(
    encoder: TextEncoder,
    architecture: Architecture,
    counterfactuals: Counterfactuals,
    axis: torch.Tensor,
    batch_size: int,
) -> tuple[list[_Part], Double, Double]:
    norm = architecture.final_norm
    if not isinstance(norm, nn.LayerNorm):
        raise ModelError(
            f"the layers of {encoder.id} do not add up to its end state through one last "
            "LayerNorm; needed that for the kind 'direct': take kinds=['patching']"
        )
    parts = _parts(architecture)
    shares, whole = np.empty((len(parts), len(counterfactuals))), np.empty(len(counterfactuals))
    for rows in batches(len(counterfactuals), batch_size):
        (male, at_male), (female, at_female) = (
            _decompose(encoder, architecture, norm, ids[rows], axis)
            for ids in (counterfactuals.male_ids, counterfactuals.female_ids)
        )
        shares[:, rows], whole[rows] = (male - female).T, at_male - at_female
    missed = np.abs(shares.sum(axis=0) - whole).max()
    if missed > 1e-3 * np.abs(whole).max():
        raise ModelError(
            f"the parts of {encoder.id} miss its embeddings by {missed:.2g}: something follows "
            "its last LayerNorm; take kinds=['patching']"
        )
    return parts, shares, whole


def _parts(architecture: Architecture) -> list[_Part]:
    """What the end state is the sum of, in the order of `_decompose`."""
    layers = range(1, architecture.n_layers + 1)
    heads = [(layer, "head", head) for layer in layers for head in range(architecture.n_heads)]
    rest = [(layer, site, -1) for site in ("bias", "mlp") for layer in layers]
    return [(0, "embedding", -1), *heads, *rest, (architecture.n_layers, "norm", -1)]


@torch.no_grad()
def _decompose(
    encoder: TextEncoder,
    architecture: Architecture,
    norm: nn.LayerNorm,
    ids: torch.Tensor,
    axis: torch.Tensor,
) -> tuple[Double, Double]:
    """Parts of each prompt's place on the axis, (n_prompts, n_parts), and that place.

    LayerNorm takes the mean out and multiplies: ``<axis, norm(x)> = <lever, x> / sigma + <axis,
    bias>`` with ``lever = w axis - mean(w axis)``. That is linear in x for the sigma of the prompt.
    """
    lever = norm.weight * axis
    lever = lever - lever.mean()
    n_layers, n_heads = architecture.n_layers, architecture.n_heads
    points = [
        ("residual", 0),
        ("residual", n_layers),
        *architecture.points(HEADS),
        *architecture.points("mlp"),
    ]
    states, places, lengths = read(encoder, architecture, ids, points, axis)
    columns = [(states["residual", 0] @ lever)[..., None]]
    for layer, join in enumerate(architecture.joins, start=1):
        levers = (join.weight.T @ lever).view(n_heads, -1)  # (n_heads, width of a head)
        outputs = states[HEADS, layer].unflatten(2, levers.shape)
        columns.append((outputs * levers).sum(dim=3))  # (n_prompts, n_tokens, n_heads)
    constant = torch.ones_like(columns[0])
    for join in architecture.joins:
        columns.append(constant * (0.0 if join.bias is None else join.bias @ lever))
    columns += [(states["mlp", layer] @ lever)[..., None] for layer in range(1, n_layers + 1)]
    variance = states["residual", n_layers].var(dim=2, correction=0, keepdim=True)
    columns = [torch.cat(columns, dim=2) / (variance + norm.eps).sqrt()]
    columns.append(constant * (norm.bias @ axis))
    pooled = encoder.pool(torch.cat(columns, dim=2), ids) / lengths[:, None]
    return pooled.double().cpu().numpy(), places
