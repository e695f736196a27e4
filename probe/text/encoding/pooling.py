"""Masks of padded prompts, and pooling of their states to one vector."""

from __future__ import annotations

import torch

from probe.errors import ShapeError
from probe.text.encoding.conditioning import Pooling


def prompt_mask(input_ids: torch.Tensor, *, pad_id: int, end_id: int | None) -> torch.Tensor:
    """Mark the tokens of each prompt, as its tokenizer's attention mask does.

    ``input_ids`` are of shape (n_prompts, n_tokens), as is the result: 1 up to and with the first
    ``end_id``, or at every id other than ``pad_id`` if ``end_id`` is None. The end is needed where
    the padding is ambiguous: CLIP pads with the end itself, or with the id of "!".
    """
    if end_id is None:
        return (input_ids != pad_id).long()
    is_end = (input_ids == end_id).long()
    return (is_end.cumsum(dim=1) - is_end == 0).long()


def pool_states(
    states: torch.Tensor,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    *,
    pooling: Pooling,
    end_id: int | None,
) -> torch.Tensor:
    """Take one vector from the states of each prompt, of shape (n_prompts, n_features).

    ``states`` are of shape (n_prompts, n_tokens, n_features), ids and mask of (n_prompts,
    n_tokens). See `probe.text.encoding.conditioning.Conditioning.pooling`.

    Raises
    ------
    ShapeError
        If the shapes do not agree, or a prompt has no end.
    """
    if states.shape[:2] != input_ids.shape:
        raise ShapeError(
            f"states are of shape {tuple(states.shape)} but the token ids of "
            f"{tuple(input_ids.shape)}; needed both for the same prompts and tokens"
        )
    if pooling == "mean":
        weights = mask.unsqueeze(2)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    if pooling == "last":
        return states[:, -1]
    rows = torch.arange(len(states), device=states.device)
    if pooling == "first":
        return states[rows, mask.argmax(dim=1)]
    is_end = torch.eq(input_ids, -1 if end_id is None else end_id)
    if not bool(is_end.any(dim=1).all()):
        raise ShapeError("a prompt has no end-of-text token; take the ids from `tokenize`")
    return states[rows, is_end.int().argmax(dim=1)]
