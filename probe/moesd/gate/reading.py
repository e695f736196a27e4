"""Input of the gate: states of a prompt, in one of three forms, and flags from its words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probe.arrays import Float32, Mask
from probe.moesd.config import Reads
from probe.text.captions.gender import read_gender
from probe.text.captions.left_alone import reason_to_leave
from probe.text.captions.vocabulary import GenderWords
from probe.text.encoder import TextEncoder
from probe.text.encoding.layers import entering_states
from probe.text.encoding.tokenization import batches_by_length
from probe.text.prompts import check_no_string

FLAGS = ("gender", "person", "nobody")
"""At most one holds for a prompt: its words state a gender; name a person without gender or unknown
name; or contain gendered words that refer to nobody."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The gate's input for some prompts."""

    z: Float32
    """Shape (n_prompts, n_features): pooled states, L2-normalised."""
    words: Float32 | None = None
    """Shape (n_prompts, n_word_features), see `read_words`; None if the gate does not use them."""
    flags: Float32 | None = None
    """Shape (n_prompts, 3), see `FLAGS`; None if the gate has no word list."""
    left_alone: tuple[str, ...] = ()
    """Why each prompt is left alone whatever the gate says, or empty: see `reason_to_leave`."""
    stated: Mask | None = None
    """Shape (n_prompts, n_attributes): whether a word states the attribute (not used of gender)."""

    def __len__(self) -> int:
        return len(self.z)


def read_prompts(
    encoder: TextEncoder,
    prompts: Sequence[str],
    *,
    reads: Reads,
    has_list: bool,
    z: Float32 | None = None,
    lists: GenderWords | None = None,
) -> Reading:
    """Read prompts for a gate; ``z`` are their pooled states, L2-normalised, where known."""
    return Reading(
        encoder.embed(prompts) if z is None else z,
        read_words(encoder, prompts) if reads == "words" else None,
        read_flags(prompts, lists) if has_list else None,
    )


def reasons_to_leave(
    encoder: TextEncoder, prompts: Sequence[str], lists: GenderWords | None = None
) -> tuple[str, ...]:
    """By prompt, `reason_to_leave` with the tokens of an encoder."""
    tokenizer = encoder.tokenizer

    def is_token(word: str) -> bool:
        return len(pieces := tokenizer.tokenize(word)) == 1 and pieces[0] != tokenizer.unk_token

    return tuple(reason_to_leave(prompt, is_token, lists) for prompt in prompts)


def read_flags(prompts: Sequence[str], lists: GenderWords | None = None) -> Float32:
    """Look up what the words of prompts state, independently of the encoder.

    An encoder that has never met a name cannot know its gender. Our choice: the paper's gate has no
    word list. The result, shape (n_prompts, 3), is 1 where a flag of `FLAGS` holds. "A male plug"
    and "a beach without people" refer to nobody; "Wislawa, a nurse" has no flag if the name is
    unknown. See `probe.text.captions.gender.read_gender`.
    """
    check_no_string("prompts", prompts)
    found = [read_gender(prompt, lists) for prompt in prompts]
    rows = [[bool(words) for words in (of.words, of.people, of.passed_over)] for of in found]
    flags = np.array(rows, dtype=bool).reshape(-1, len(FLAGS))
    flags[:, 1:] &= ~flags[:, :1]
    flags[:, 2] &= ~flags[:, 1]
    flags[:, 1] &= np.array([not of.unknown for of in found], dtype=bool)
    return flags.astype(np.float32)


@torch.no_grad()
def read_words(encoder: TextEncoder, prompts: Sequence[str], *, batch_size: int = 256) -> Float32:
    """Compute word features from the early layers of the encoder.

    The states that enter the layers of `word_depths` are L2-normalised; their mean and maximum over
    the prompt's own tokens are the features. There an unknown occupation is one word among many,
    while in the pooled state it may look like a gendered word. Our choice. The columns are the mean
    for each depth, then the maximum for each: 2 n_depths n_features numbers.
    """
    depths = word_depths(int(encoder.model.config.num_hidden_layers))
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    ids = encoder.tokenize(list(row_of))
    words = np.empty((len(ids), 2 * len(depths) * encoder.n_features), dtype=np.float32)
    special = torch.tensor(encoder.tokenizer.all_special_ids)
    lengths = encoder.prompt_mask(ids).sum(dim=1).numpy()
    for rows in batches_by_length(lengths, batch_size):
        # Early states of a causal or masked encoder do not depend on the padding; for one that
        # attends to it (T5 of Stable Diffusion 3) leaving it out is a choice.
        batch = ids[rows, : lengths[rows].max()]
        mask = encoder.prompt_mask(batch)
        is_word = mask.bool() & ~torch.isin(batch, special)
        is_word |= ~is_word.any(dim=1, keepdim=True) & mask.bool()  # only special tokens
        batch, is_word = batch.to(encoder.device), is_word.to(encoder.device).unsqueeze(2)
        attended = None if encoder.is_causal else mask.to(encoder.device)
        states = torch.stack(entering_states(encoder.model, batch, attended, depths))
        states = torch.nn.functional.normalize(states.float(), dim=3)
        means = (states * is_word).sum(dim=2) / is_word.sum(dim=1)  # (n_depths, n_prompts, width)
        maxima = states.masked_fill(~is_word, -torch.inf).amax(dim=2)
        words[rows] = torch.cat([*means, *maxima], dim=1).cpu().numpy()
    return words[[row_of[prompt] for prompt in prompts]]


def count_features(reads: Reads, *, has_list: bool, n_features: int, n_layers: int) -> int:
    """Count the inputs of a gate's classifier on an encoder of a width and a depth."""
    words = 2 * len(word_depths(n_layers)) * n_features
    n_states = {"bias_score": 2, "pooled": n_features, "words": words}[reads]
    return n_states + len(FLAGS) * has_list


def word_depths(n_layers: int) -> tuple[int, ...]:
    """Return the layers whose input is read: the first, and those at a quarter and at half."""
    return tuple(sorted({0, n_layers // 4, n_layers // 2}))
