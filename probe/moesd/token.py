"""The special token: one learned row of the token embedding, inserted into a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.utils.checkpoint import checkpoint

from probe.errors import ModelError, ShapeError
from probe.text.captions.mentions import Text, mentions
from probe.text.captions.rewriting import is_participle
from probe.text.captions.vocabulary import FUNCTION_WORDS, GenderWords
from probe.text.concepts import Concept, concept_names
from probe.text.encoder import TextEncoder
from probe.text.encoding.tokenization import prepared, rows_together
from probe.text.languages import Language

TOKEN = "<bias>"
N_TOKENS = 3072
"""Tokens that are encoded at a time where gradients pass: about 2.2 GB in the CLIP of SD v1.5.
Fewer in an encoder of more states than its 12 layers of 768 have."""
_MEDIA = (
    "photo|photograph|picture|image|portrait|painting|drawing|sketch|illustration|headshot|"
    "snapshot|close-up|face"
)
_FIRST_NOUN = re.compile(
    rf"\W*(?:(?:[\w-]+\s+){{0,4}}?(?:{_MEDIA})\s+of\s+)*(?:(?:an?|the)\s+)?", re.IGNORECASE
)
"""Up to the first noun phrase that is no medium: "a photo of the face of a", "the"."""
_SECOND_NOUN = re.compile(
    r"(?<! in )(?<! at )(?<! on )(?<! with )(?<! holding )(?<! wearing )\ban? |\b(?:and|or)\b",
    re.IGNORECASE,
)
"""Another noun that may be the person: "a cat beside a nurse", but not "a nurse with a bag"."""
_DETERMINERS = FUNCTION_WORDS | {"two", "three", "four", "five", "many", "several"}


@dataclass(frozen=True, eq=False)
class SpecialToken:
    """The token's embedding and its position in a prompt.

    The vocabulary and the weights of the base model are not changed: the vector is inserted into
    the sequence of token embeddings while a prompt is encoded.
    """

    vector: torch.Tensor
    """Shape (n_features,), in the units of the token embedding."""
    subjects: tuple[str, ...]
    """People of the training, before whom the token stands; in another language a prompt each."""
    stands: str = "subject"
    """One of `probe.moesd.config.TOKEN_PLACES`; ``"nowhere"`` leaves prompts unchanged."""
    unlisted: tuple[str, ...] = ()
    """Nouns of the lexicon, which the word list of people does not hold; see `Gate.unlisted`."""
    language: Language | None = None
    """Where it is not English: the token stands after an opening of the language."""

    @classmethod
    def start(
        cls,
        encoder: TextEncoder,
        subjects: Sequence[str],
        *,
        stands: str = "subject",
        unlisted: Sequence[str] = (),
        language: Language | None = None,
    ) -> SpecialToken:
        """Initialise the vector with the embedding of "person", or of words for both genders."""
        if TOKEN in encoder.tokenizer.get_vocab():
            raise ModelError(
                f"the vocabulary of {encoder.id} has the token {TOKEN} already; needed a model "
                "without it: unload the textual inversion that added it"
            )
        person = "person" if language is None else " ".join(language.stated)
        ids = encoder.tokenizer(person, add_special_tokens=False).input_ids
        table = encoder.model.get_input_embeddings().weight.detach()
        start = table[ids].mean(dim=0).clone()
        return cls(start, tuple(subjects), stands, tuple(unlisted), language)

    @property
    def is_used(self) -> bool:
        """Whether the token is inserted at all."""
        return self.stands != "nowhere"

    def place(self, prompt: str) -> int:
        """Find the character before which the token is inserted.

        Where no person is known, this is the first noun phrase after "a photo of".
        """
        if self.stands == "start":
            return 0
        if self.stands == "end":
            return len(prompt)
        place = self.subject_at(prompt)
        return _first_noun(prompt) if place is None else place

    def subject_at(self, prompt: str, *, is_person: bool = False) -> int | None:
        """Find the character at which the person begins that a prompt is about.

        This is the first known subject, or else the first person of the word list with the words
        before the noun ("a software developer"). If neither is found in a prompt that shows a
        person, as the gate said, it is the first noun, unless another one may be the person: None.
        Words that state an attribute ("old") are before it, as they are before a known subject. In
        another language it is what follows the opening ("ein Foto von").
        """
        if self.language is not None:
            return self.language.opening(prompt)
        pattern = _any_of(self.subjects)
        if pattern is not None and (found := pattern.search(prompt.lower())):
            return found.start()
        text = Text(prompt)
        for mention in mentions(text, GenderWords.without_nouns(self.unlisted).captions):
            if not mention.reason and not mention.word.is_pronoun:
                place = mention.place
                while place and _is_attribute(text, place - 1):
                    place -= 1
                return _past_stated(prompt, text.spans[place][0])
        first = _first_noun(prompt)
        return first if is_person and not _SECOND_NOUN.search(prompt, first) else None

    def input_ids(
        self, encoder: TextEncoder, prompts: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokenize prompts with a placeholder, the start-of-text id, where the token is inserted.

        Returns ids of shape (n_prompts, max_tokens), padded as by `TextEncoder.tokenize`, and the
        placeholder's position in each prompt, -1 without one.
        """
        ids = encoder.tokenize(prompts)
        if not self.is_used:
            return ids, torch.full((len(ids),), -1)
        places = torch.tensor(self._n_tokens_before(encoder, prompts))
        gap = torch.full((len(ids), 1), int(ids[0, 0]), dtype=ids.dtype)
        widened = torch.cat([ids, gap], dim=1)
        position = torch.arange(widened.shape[1])
        source = position - (position > places[:, None]).long()
        shifted = widened.gather(1, source.clamp(max=ids.shape[1] - 1))
        shifted[torch.arange(len(ids)), places] = gap[:, 0]
        shifted = shifted[:, : ids.shape[1]]
        words = encoder.tokenizer
        end = words.sep_token_id if words.eos_token_id is None else words.eos_token_id
        if end is not None:
            shifted[(shifted != end).all(dim=1), -1] = end  # a full prompt keeps its end token
        return shifted, places

    def _n_tokens_before(self, encoder: TextEncoder, prompts: Sequence[str]) -> list[int]:
        heads = [prompt[: self.place(prompt)].rstrip() for prompt in prompts]
        heads = prepared(heads, lowercase=encoder.conditioning.lowercase)
        plain = [encoder.conditioning.instruction + head for head in ("a", *heads)]
        ids = encoder.tokenizer(plain, add_special_tokens=False).input_ids
        n_start = encoder.tokenizer(plain[0]).input_ids.index(ids[0][0])  # T5 has no start token
        n_more = n_start - encoder.n_hidden
        return [min(n_more + len(head), encoder.max_tokens - 2) for head in ids[1:]]

    def states(self, encoder: TextEncoder, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Encode the result of `input_ids`, as `encode` does; differentiable in the vector.

        Where gradients pass, `N_TOKENS` tokens at a time are in memory; of more, the backward pass
        encodes each part again.
        """

        def encode(ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            with self._inserted(encoder, places):
                return encoder.forward_ids(ids)

        has_gradients, n_tokens = torch.is_grad_enabled(), ids.shape[1]
        n_states = encoder.n_features * int(encoder.model.config.num_hidden_layers)
        at_most = min(N_TOKENS, N_TOKENS * 12 * 768 // n_states)
        n_rows = max(1, at_most // n_tokens) if has_gradients else rows_together(n_tokens)
        if len(ids) <= n_rows:
            return encode(ids, places)
        parts = zip(ids.split(n_rows), places.split(n_rows), strict=True)
        if not has_gradients:
            return torch.cat([encode(*part) for part in parts])
        return torch.cat([checkpoint(encode, *part, use_reentrant=False) for part in parts])

    def encode(self, encoder: TextEncoder, prompts: Sequence[str]) -> torch.Tensor:
        """Encode prompts with the token; shape (n_prompts, max_tokens, n_features)."""
        return self.states(encoder, *self.input_ids(encoder, prompts))

    @contextmanager
    def _inserted(self, encoder: TextEncoder, places: torch.Tensor) -> Iterator[None]:
        table = encoder.model.get_input_embeddings()
        if table.weight.shape[1] != self.vector.numel():
            raise ShapeError(
                f"the token has {self.vector.numel()} features but the encoder's embedding has "
                f"{table.weight.shape[1]}; train it again on this model"
            )

        def insert(module: torch.nn.Module, args: object, embedded: torch.Tensor) -> torch.Tensor:
            at = torch.where(places < 0, places, places + encoder.n_hidden).to(embedded.device)
            here = torch.arange(embedded.shape[1], device=embedded.device) == at.unsqueeze(1)
            return torch.where(here.unsqueeze(2), self.vector.to(embedded), embedded)

        # T5 looks tokens up in another module than the one whose weights it shares.
        stack = getattr(encoder.model, "encoder", None)
        handle = getattr(stack, "embed_tokens", table).register_forward_hook(insert)
        try:
            yield
        finally:
            handle.remove()


def _is_attribute(text: Text, place: int) -> bool:
    """Whether a word belongs to the noun after it."""
    is_apart = bool(text.gap(place).strip())
    return not (is_apart or text.at(place) in _DETERMINERS or is_participle(text.at(place)))


def _first_noun(prompt: str) -> int:
    return _past_stated(prompt, _FIRST_NOUN.match(prompt).end())  # type: ignore[union-attr]


def _past_stated(prompt: str, place: int) -> int:
    """Find where the noun begins after words that state an attribute, unless none follows."""
    found = _stated_words().match(prompt, place)
    if found is None or found["next"].lower() in FUNCTION_WORDS:
        return place
    return found.start("next")


@lru_cache(maxsize=1)
def _stated_words() -> re.Pattern[str]:
    """Compile the words of all attributes but gender that are no persons, as "child" is."""
    people = GenderWords.without_nouns(()).captions
    found = [of for name in concept_names() if (of := Concept.load(name).attribute) is not None]
    words = sorted({word for of in found for words in of.values.values() for word in words})
    adjectives = [re.escape(word) for word in words if not any(mentions(Text(word), people))]
    return re.compile(rf"(?:(?:{'|'.join(adjectives)})\s+)+(?P<next>\w+)", re.IGNORECASE)


@lru_cache(maxsize=16)
def _any_of(subjects: tuple[str, ...]) -> re.Pattern[str] | None:
    """Compile one pattern for all subjects: fifty searches a prompt would take longer."""
    if not subjects:
        return None
    return re.compile(rf"\b(?:{'|'.join(re.escape(of.lower()) for of in subjects)})\b")
