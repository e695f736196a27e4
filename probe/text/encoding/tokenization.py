"""Prompts to token ids of one length, and batches of prompts of similar length."""

import logging
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Indices
from probe.text.prompts import check_no_string

_logger = logging.getLogger("probe")


def token_limit(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """Length to which prompts are padded and cut: the wanted one, as far as both allow."""
    # A tokenizer without a limit says 10^30; models without one (T5) were trained on 512.
    limit = getattr(model.config, "max_position_embeddings", wanted or 512)
    return int(min(wanted or limit, limit, tokenizer.model_max_length))


def prepared(prompts: Sequence[str], *, lowercase: bool) -> list[str]:
    """Prompts as the tokenizer gets them: lowercased and stripped, or unchanged."""
    return [prompt.lower().strip() for prompt in prompts] if lowercase else list(prompts)


def pad_ids(
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    lowercase: bool,
    id: str,
    start: str = "",
    n_start: int = 0,
) -> torch.Tensor:
    """Tokenize prompts to one length, each after ``start``; see `TextEncoder.tokenize`.

    The result is of shape (n_prompts, max_tokens + n_start), where ``n_start`` are the tokens of
    ``start``.
    """
    prompts = [start + prompt for prompt in prepared(prompts, lowercase=lowercase)]
    if not prompts:
        return torch.empty(0, max_tokens + n_start, dtype=torch.int64)
    encoded = tokenizer(
        prompts,
        padding="max_length",
        max_length=max_tokens + n_start,
        truncation=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    full = list(compress(prompts, encoded.attention_mask.bool().all(dim=1).tolist()))
    lengths = [len(row) for row in tokenizer(full, verbose=False).input_ids] if full else []
    if n_cut := sum(length > max_tokens + n_start for length in lengths):
        _logger.warning(
            "%d of %d prompts are longer than the %d tokens of %s and were cut off",
            *(n_cut, len(prompts), max_tokens, id),
        )
    ids: torch.Tensor = encoded.input_ids
    return ids


def instruction_ids(tokenizer: Any, instruction: str) -> tuple[int, list[int]]:
    """Token ids of an instruction, and how many the tokenizer puts before the words of a prompt.

    Those are 0 (Qwen) or 1. A space at the end of the instruction merges with the prompt, as in
    diffusers' pipeline of Sana.
    """
    if not instruction:
        return 0, []
    plain, told = (list(tokenizer(of + "a").input_ids) for of in ("", instruction))
    n_start = int(plain[0] in tokenizer.all_special_ids)
    return n_start, told[n_start : n_start + len(told) - len(plain)]


def distinct_prompts(prompts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct prompts, and the position among them of each prompt."""
    check_no_string("prompts", prompts)
    rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    return list(rows), [rows[prompt] for prompt in prompts]


def batches_by_length(n_tokens: npt.ArrayLike, batch_size: int) -> Iterator[Indices]:
    """Yield the rows of each batch, shortest first; rows of equal length keep their order."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; needed at least one prompt a batch")
    order = np.argsort(n_tokens, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def rows_together(n_tokens: int) -> int:
    """Prompts of this many tokens whose attention fits in memory at once: 1024 of CLIP's 77."""
    return max(1, 1024 * 77**2 // max(1, n_tokens) ** 2)
