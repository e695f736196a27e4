"""The special token: one learned row of the token embedding, inserted into a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch

from probe.errors import ModelError, ShapeError
from probe.text.encoder import TextEncoder

TOKEN = "<bias>"


@dataclass(frozen=True, eq=False)
class SpecialToken:
    """The token's embedding and its position in a prompt.

    The vocabulary and the weights of the base model are not changed: the vector is inserted into
    the sequence of token embeddings while a prompt is encoded.
    """

    vector: torch.Tensor
    """Shape (n_features,), in the units of the token embedding."""
    subjects: tuple[str, ...]
    """Known subjects; without one, the subject of a prompt follows its last article."""
    stands: str = "subject"
    """One of `probe.moesd.config.TOKEN_PLACES`; ``"nowhere"`` leaves prompts unchanged."""

    @classmethod
    def start(
        cls, encoder: TextEncoder, subjects: Sequence[str], *, stands: str = "subject"
    ) -> SpecialToken:
        """Initialise the vector with the embedding of "person"."""
        if TOKEN in encoder.tokenizer.get_vocab():
            raise ModelError(
                f"the vocabulary of {encoder.id} has the token {TOKEN} already; needed a model "
                "without it: unload the textual inversion that added it"
            )
        ids = encoder.tokenizer("person", add_special_tokens=False).input_ids
        table = encoder.model.get_input_embeddings().weight.detach()
        return cls(vector=table[ids].mean(dim=0).clone(), subjects=tuple(subjects), stands=stands)

    @property
    def is_used(self) -> bool:
        """Whether the token is inserted at all."""
        return self.stands != "nowhere"

    def place(self, prompt: str) -> int:
        """Find the character before which the token is inserted."""
        if self.stands == "start":
            return 0
        if self.stands == "end":
            return len(prompt)
        return self.subject_at(prompt)

    def subject_at(self, prompt: str) -> int:
        """Find the character at which the subject of a prompt begins."""
        lowered = prompt.lower()
        pattern = _any_of(self.subjects)
        if pattern is not None and (found := pattern.search(lowered)):
            return found.start()
        articles = list(re.finditer(r"\b(?:an?|the)\s+", lowered))
        return articles[-1].end() if articles else 0

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
        places = torch.tensor([self._n_tokens_before(encoder, prompt) for prompt in prompts])
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

    def _n_tokens_before(self, encoder: TextEncoder, prompt: str) -> int:
        head = encoder.tokenizer(prompt[: self.place(prompt)], add_special_tokens=False).input_ids
        return min(1 + len(head), encoder.max_tokens - 2)

    def states(self, encoder: TextEncoder, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Encode the result of `input_ids`, as `encode` does; differentiable in the vector."""
        with self._inserted(encoder, places):
            return encoder.forward_ids(ids)

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
            here = torch.arange(embedded.shape[1], device=embedded.device) == places.to(
                embedded.device
            ).unsqueeze(1)
            return torch.where(here.unsqueeze(2), self.vector.to(embedded), embedded)

        handle = table.register_forward_hook(insert)
        try:
            yield
        finally:
            handle.remove()


@lru_cache(maxsize=16)
def _any_of(subjects: tuple[str, ...]) -> re.Pattern[str] | None:
    """Compile one pattern for all subjects: fifty searches a prompt would take longer."""
    if not subjects:
        return None
    return re.compile(rf"\b(?:{'|'.join(re.escape(of.lower()) for of in subjects)})\b")
