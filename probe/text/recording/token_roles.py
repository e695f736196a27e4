"""Roles of the tokens of a prompt: its start, the person's word, the subject and the end."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, ModelError
from probe.text.encoder import TextEncoder
from probe.text.encoding.tokenization import prepared
from probe.text.prompts import PromptSet

ROLES = ("start", "person", "between", "subject", "end")
"""Roles in the order of the tokens.

``start`` is the first token and ``end`` the one that closes the text (the first end-of-text token
of CLIP, ``[SEP]`` of BERT); ``person`` is the word that says the gender, ``subject`` the
occupation, ``between`` the tokens between the two. A role may have no token or several.
"""

_CONSTRUCTION = ("prompt", "template", "subject")

TokenMask = npt.NDArray[np.bool_]


def token_roles(encoder: TextEncoder, prompts: PromptSet | Sequence[str]) -> dict[str, TokenMask]:
    """Find the tokens of each role.

    Plain strings have only a start and an end, because their subject is unknown. The result has a
    mask of shape (n_prompts, n_tokens) for each of `ROLES` and for ``"all"``, every token of the
    prompt without its padding; ``n_tokens`` is that of the longest prompt. `DataError` if a prompt
    does not match its template, or its subject was cut off.
    """
    texts = prompts.prompts if isinstance(prompts, PromptSet) else list(prompts)
    if not encoder.tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {encoder.id} has no offsets of its tokens in the text; "
            "needed a fast one: save it again with AutoTokenizer"
        )
    lowercase = encoder.conditioning.lowercase
    words = encoder.tokenizer(
        prepared(texts, lowercase=lowercase),
        truncation=True,
        max_length=encoder.max_tokens,
        return_offsets_mapping=True,
    )
    lengths = np.array([len(row) for row in words["input_ids"]], dtype=np.intp)
    place = np.arange(lengths.max(initial=0))
    offsets = np.zeros((len(texts), len(place), 2), dtype=np.intp)
    for row, pairs in enumerate(words["offset_mapping"]):
        offsets[row, : len(pairs)] = pairs
    masks = {
        "start": np.broadcast_to(place == 0, (len(texts), len(place))),
        "end": place == lengths[:, None] - 1,
        "all": place < lengths[:, None],
    }
    spans = np.zeros((2, len(texts), 2), dtype=np.intp)
    if isinstance(prompts, PromptSet):
        spans = _spans(prompts, lowercase=lowercase)
    for role, span in zip(("person", "subject"), spans, strict=True):
        # A special token has an empty span, which overlaps with nothing.
        begins = np.maximum(offsets[..., 0], span[:, :1])
        masks[role] = begins < np.minimum(offsets[..., 1], span[:, 1:])
    if isinstance(prompts, PromptSet) and not (found := masks["subject"].any(axis=1)).all():
        raise DataError(
            f"prompt {texts[int(found.argmin())]!r} is cut off before its subject; needed at most "
            f"{encoder.max_tokens} tokens"
        )
    after = np.cumsum(masks["person"], axis=1) > 0
    before = np.cumsum(masks["subject"], axis=1) == 0
    has_both = masks["person"].any(axis=1) & masks["subject"].any(axis=1)
    masks["between"] = after & before & ~masks["person"] & has_both[:, None]
    return {role: masks[role] for role in (*ROLES, "all")}


def person_words(prompts: PromptSet) -> list[str]:
    """Return the word of each prompt that says the gender, ``""`` where none does."""
    spans = _spans(prompts)[0]
    return [text[low:high] for text, (low, high) in zip(prompts.prompts, spans, strict=True)]


def _spans(prompts: PromptSet, *, lowercase: bool = False) -> npt.NDArray[np.intp]:
    """Characters of the person's word and of the subject: (2, n_prompts, 2); empty where absent."""
    columns = (prepared(prompts.table[name], lowercase=lowercase) for name in _CONSTRUCTION)
    rows = zip(*columns, strict=True)
    return np.array([_span(*row) for row in rows], dtype=np.intp).reshape(-1, 2, 2).swapaxes(0, 1)


def _span(prompt: str, template: str, subject: str) -> list[tuple[int, int]]:
    parts = re.split(r"(\ban? )?\{(\w+)\}", template)  # text, article, slot, text, article, ...
    pattern, person = re.escape(parts[0]), None
    for article, slot, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        word = re.escape(subject) if slot == "subject" else ".+"
        pattern += f"{'an? ' if article else ''}(?P<{slot}>{word}){re.escape(text)}"
        person = person if slot == "subject" else slot
    match = re.fullmatch(pattern, prompt)
    if match is None or "subject" not in match.re.groupindex:
        raise DataError(
            f"prompt {prompt!r} does not follow its template {template!r} with the subject "
            f"{subject!r}; needed all three to agree: correct the table"
        )
    return [match.span(person) if person else (0, 0), match.span("subject")]
