"""Counterfactual prompts: the same prompt with each value of the attribute stated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from probe.errors import DataError
from probe.images.models.conditions import Conditions
from probe.images.models.model import ImageModel
from probe.moesd.token import SpecialToken
from probe.text.encoder import TextEncoder
from probe.text.templates import with_article


@dataclass(frozen=True)
class Counterfactuals:
    """State each value of an attribute before the subject of a prompt.

    Counterfactuals serve training and measurement; images are never generated from them in place of
    the prompt.
    """

    words: tuple[str, ...] = ("female", "male")
    """One adjective per value, of all attributes."""

    def __post_init__(self) -> None:
        if len(set(self.words)) < 2 or len(set(self.words)) < len(self.words):
            raise ValueError(
                f"counterfactual words are {list(self.words)}; needed two or more distinct words"
            )

    def of(self, prompt: str, token: SpecialToken, *, is_person: bool = False) -> tuple[str, ...]:
        """Insert each word before the subject, with the right article; one prompt per word.

        A `DataError` says that the prompt names no person; see `SpecialToken.subject_at`.
        """
        if (place := token.subject_at(prompt, is_person=is_person)) is None:
            raise DataError(
                f"{prompt!r} names no person that is known, so {' or '.join(self.words)} has no "
                "place in it; add its subject to the lexicon, or use a prompt that names one"
            )
        if token.language is not None:
            return tuple(prompt[:place] + word + prompt[place:] for word in self.words)
        return tuple(
            _with_fitting_article(prompt[:place], word) + f"{word} {prompt[place:]}"
            for word in self.words
        )

    def by_word(
        self, token: SpecialToken, prompts: Sequence[str], *, are_people: bool = False
    ) -> list[list[str]]:
        """List the counterfactuals of all prompts, for each word.

        ``are_people`` says that the gate opened for all prompts.
        """
        found = (self.of(prompt, token, is_person=are_people) for prompt in prompts)
        return [list(of_word) for of_word in zip(*found, strict=True)]

    def states(
        self,
        encoder: TextEncoder,
        token: SpecialToken,
        prompts: Sequence[str],
        *,
        are_people: bool = False,
    ) -> torch.Tensor:
        """Encode the counterfactuals: shape (K, n_prompts, n_tokens, n_features)."""
        by_word = self.by_word(token, prompts, are_people=are_people)
        return torch.stack([encoder.states(of_word) for of_word in by_word])

    def conditions(
        self,
        model: ImageModel,
        token: SpecialToken,
        prompts: Sequence[str],
        *,
        are_people: bool = False,
    ) -> list[Conditions]:
        """Encode the counterfactuals by all text encoders of a model, for each word."""
        by_word = self.by_word(token, prompts, are_people=are_people)
        return [model.conditions(of_word) for of_word in by_word]

    def aligned_states(
        self, encoder: TextEncoder, token: SpecialToken, prompts: Sequence[str]
    ) -> torch.Tensor:
        """Encode the counterfactuals, aligned position by position with `SpecialToken.encode`.

        The last token of a word takes the special token's position. The shape is that of `states`.
        """
        _, places = token.input_ids(encoder, prompts)
        aligned = []
        for word, states in zip(self.words, self.states(encoder, token, prompts), strict=True):
            n_more = len(encoder.tokenizer(word.strip(), add_special_tokens=False).input_ids) - 1
            position = torch.arange(states.shape[1])
            source = position + n_more * (position >= places[:, None])
            source = source.clamp(max=states.shape[1] - 1).to(states.device)
            aligned.append(states.gather(1, source.unsqueeze(2).expand_as(states)))
        return torch.stack(aligned)


def _with_fitting_article(head: str, word: str) -> str:
    """Turn "an" before an auditor into "a" before a female auditor."""
    found = re.search(r"\b(an?)(\s+)$", head, flags=re.IGNORECASE)
    if found is None:
        return head
    article = with_article(word).split()[0]
    if found[1][0].isupper():
        article = article.capitalize()
    return head[: found.start()] + article + found[2]
