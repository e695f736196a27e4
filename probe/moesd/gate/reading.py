"""What a gate reads of a prompt: its states, in one of three ways, and what its words say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Float32
from probe.moesd.config import Reads
from probe.text.captions.gender import read_gender
from probe.text.captions.gender_words import GenderWords
from probe.text.encoder import TextEncoder
from probe.text.encoding.batching import batches_by_length
from probe.text.encoding.layers import entering_states
from probe.text.prompts import check_no_string

FLAGS = ("gender", "person", "nobody")
"""What the words of a prompt say, at most one of it: a gender; a person and no gender, nor any name
that is on no list; or that what could have said so is about nobody."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a gate has before it when it decides."""

    z: Float32
    """Shape (n_prompts, n_features): pooled states, L2-normalised."""
    words: Float32 | None = None
    """Shape (n_prompts, n_word_features), see `read_words`; None if the gate reads no words."""
    said: Float32 | None = None
    """Shape (n_prompts, 3), see `FLAGS`; None if the gate has no list of words."""

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Reading:
        """Keep some prompts."""
        words, said = (None if of is None else of[rows] for of in (self.words, self.said))
        return Reading(self.z[rows], words, said)


def read_prompts(
    encoder: TextEncoder,
    prompts: Sequence[str],
    *,
    reads: Reads,
    has_list: bool,
    z: Float32 | None = None,
    lists: GenderWords | None = None,
) -> Reading:
    """Read prompts for a gate.

    Parameters
    ----------
    encoder : TextEncoder
    prompts : sequence of str
    reads : str
        What the gate reads: ``"pooled"``, ``"bias_score"`` or ``"words"``.
    has_list : bool
        Whether it looks words up as well.
    z : ndarray of shape (n_prompts, n_features), optional
        Pooled states, L2-normalised, where they are known already.
    lists : GenderWords, optional
        Where words are looked up; the shipped lists if not given.
    """
    z = encoder.embed(prompts) if z is None else z
    return Reading(
        z,
        read_words(encoder, prompts) if reads == "words" else None,
        read_said(prompts, lists) if has_list else None,
    )


def read_said(prompts: Sequence[str], lists: GenderWords | None = None) -> Float32:
    """Look up what prompts say by their words, whatever the encoder makes of them.

    An encoder that has never met a name cannot know who bears it, and one that has never met
    charcoal may not see the farmer in a drawing. Our choice: the paper's gate has no such list.

    Returns
    -------
    ndarray of shape (n_prompts, 3)
        1 for what is said, of `FLAGS`. "A male plug" says that nobody is there, as "a beach without
        people" does; "Wislawa, a nurse" says nothing, if the name is unknown. See
        `probe.text.captions.gender.read_gender`.
    """
    check_no_string("prompts", prompts)
    found = [read_gender(prompt, lists) for prompt in prompts]
    rows = [[bool(words) for words in (of.words, of.people, of.passed_over)] for of in found]
    said = np.array(rows, dtype=bool).reshape(-1, len(FLAGS))
    said[:, 1:] &= ~said[:, :1]
    said[:, 2] &= ~said[:, 1]
    said[:, 1] &= np.array([not of.unknown for of in found], dtype=bool)
    return said.astype(np.float32)


@torch.no_grad()
def read_words(encoder: TextEncoder, prompts: Sequence[str], *, batch_size: int = 256) -> Float32:
    """Read prompts word by word, before the encoder has made one meaning of them.

    The states that enter the first layer (the bare words) and those a quarter and half of the way
    up are L2-normalised, and over the positions of the prompt's own words their mean and their
    maximum are taken. An occupation that was never seen is then one word among many, where in the
    pooled state it may look like a word of gender. Our choice: the paper does not say.

    Returns
    -------
    ndarray of shape (n_prompts, n_word_features)
        For each of the depths the mean, then for each the maximum: 2 n_depths n_features numbers.
    """
    depths = word_depths(int(encoder.model.config.num_hidden_layers))
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    ids = encoder.tokenize(list(row_of))
    words = np.empty((len(ids), 2 * len(depths) * encoder.n_features), dtype=np.float32)
    special = torch.tensor(encoder.tokenizer.all_special_ids)
    lengths = encoder.prompt_mask(ids).sum(dim=1).numpy()
    for rows in batches_by_length(lengths, batch_size):
        # Early states of a causal or masked encoder do not depend on the padding; for one that
        # sees it (T5 of Stable Diffusion 3) leaving it out is a choice, and the same for all.
        batch = ids[rows, : lengths[rows].max()]
        mask = encoder.prompt_mask(batch)
        is_word = mask.bool() & ~torch.isin(batch, special)
        is_word |= ~is_word.any(dim=1, keepdim=True) & mask.bool()  # nothing but special tokens
        batch, is_word = batch.to(encoder.device), is_word.to(encoder.device).unsqueeze(2)
        seen = None if encoder.is_causal else mask.to(encoder.device)
        states = torch.stack(entering_states(encoder.model, batch, seen, depths))
        states = torch.nn.functional.normalize(states.float(), dim=3)
        means = (states * is_word).sum(dim=2) / is_word.sum(dim=1)  # (n_depths, n_prompts, width)
        tops = states.masked_fill(~is_word, -torch.inf).amax(dim=2)
        words[rows] = torch.cat([*means, *tops], dim=1).cpu().numpy()
    return words[[row_of[prompt] for prompt in prompts]]


def word_depths(n_layers: int) -> tuple[int, ...]:
    """Number the layers whose input is read: the first, a quarter and half of the way up."""
    return tuple(sorted({0, n_layers // 4, n_layers // 2}))
