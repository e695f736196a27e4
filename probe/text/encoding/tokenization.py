"""Prompts to token ids, and one more token in the vocabulary."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from probe.errors import ShapeError

_logger = logging.getLogger("probe")


def token_limit(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """Settle the length to which prompts are padded and cut: what is wanted, as far as it fits."""
    # A tokenizer without a limit says 10^30; models without one (T5) were trained on 512.
    limit = getattr(model.config, "max_position_embeddings", wanted or 512)
    return min(int(wanted or tokenizer.model_max_length), int(limit))


def pad_ids(
    tokenizer: Any, prompts: Sequence[str], *, max_tokens: int, lowercase: bool, id: str
) -> torch.Tensor:
    """Tokenize prompts to one length; see `TextEncoder.tokenize`."""
    if lowercase:
        prompts = [prompt.lower().strip() for prompt in prompts]
    if not prompts:
        return torch.empty(0, max_tokens, dtype=torch.int64)
    if n_cut := _count_too_long(tokenizer, prompts, max_tokens):
        _logger.warning(
            "%d of %d prompts are longer than the %d tokens of %s and were cut off",
            *(n_cut, len(prompts), max_tokens, id),
        )
    ids: torch.Tensor = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=max_tokens,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


def grow_vocabulary(
    model: Any, tokenizer: Any, token: str, vector: npt.ArrayLike | torch.Tensor
) -> int:
    """Add one token and its row to a text encoder; see `TextEncoder.add_token`."""
    old = model.get_input_embeddings().weight.detach()  # (n_vocabulary, n_features)
    row = torch.as_tensor(vector).detach().to(old)
    if row.shape != old.shape[1:]:
        raise ShapeError(
            f"vector is of shape {tuple(row.shape)}; needed {tuple(old.shape[1:])}, the width of "
            "the token embedding"
        )
    if tokenizer.add_tokens([token]) != 1:
        raise ValueError(f"token {token!r} is in the vocabulary already; choose another")
    token_id = int(tokenizer.convert_tokens_to_ids(token))
    table = old.new_zeros(max(len(old), token_id + 1), old.shape[1])
    table[: len(old)] = old
    table[token_id] = row
    model.set_input_embeddings(nn.Embedding.from_pretrained(table))
    model.config.vocab_size = len(table)
    return token_id


def _count_too_long(tokenizer: Any, prompts: Sequence[str], max_tokens: int) -> int:
    # No token is shorter than a byte.
    doubtful = [prompt for prompt in prompts if len(prompt.encode()) + 2 > max_tokens]
    if not doubtful:
        return 0
    return sum(len(row) > max_tokens for row in tokenizer(doubtful, verbose=False).input_ids)
