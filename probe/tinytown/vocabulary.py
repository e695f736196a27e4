"""tinytown's tokenizer: CLIP's byte-level BPE with a small vocabulary learned from its captions."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from probe.tinytown.architecture import N_TOKENS

_END = "</w>"


def learn_tokenizer(captions: Iterable[str], *, n_merges: int = 512) -> CLIPTokenizer:
    """Learn merges from captions; every other text falls back to single bytes.

    Parameters
    ----------
    captions : iterable of str
        Text to learn from.
    n_merges : int
        Most merges to learn; fewer when every word is one token already.

    Returns
    -------
    CLIPTokenizer
        Vocabulary: 256 bytes, 256 bytes that end a word, the merges, start and end of text; the
        order of OpenAI's CLIP.
    """
    words = Counter(
        word for caption in captions for word in caption.lower().translate(_NO_PUNCTUATION).split()
    )
    alphabet = sorted(ByteLevel.alphabet())
    merges = _learn_merges(words, n_merges)
    tokens = [*alphabet, *(letter + _END for letter in alphabet)]
    tokens += [left + right for left, right in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=merges,  # type: ignore[arg-type]  # pairs, as the tokenizers library takes them
        model_max_length=N_TOKENS,
    )


_NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def _learn_merges(words: Counter[str], n_merges: int) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al. 2016): merge the commonest neighbours."""
    spelled = {word: [*word[:-1], word[-1] + _END] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in spelled.items():
            for pair in pairwise(symbols):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for symbols in spelled.values():
            _merge(symbols, best)
    return merges


def _merge(symbols: list[str], pair: tuple[str, str]) -> None:
    position = 0
    while position < len(symbols) - 1:
        if (symbols[position], symbols[position + 1]) == pair:
            symbols[position : position + 2] = ["".join(pair)]
        position += 1
