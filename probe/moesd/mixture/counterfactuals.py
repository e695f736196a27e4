"""Counterfactuals of a prompt: the same words, and each value of the attribute said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from probe.moesd.token import SpecialToken
from probe.text.templates import with_article


@dataclass(frozen=True)
class Counterfactuals:
    """Say each value of an attribute in a prompt that says none, before its subject.

    The counterfactuals teach and measure; no pipeline is ever conditioned on one in a prompt's
    place.
    """

    words: tuple[str, ...] = ("female", "male")
    """Adjectives, one a value; the first is the value whose share is told."""

    def __post_init__(self) -> None:
        if len(set(self.words)) < 2 or len(set(self.words)) < len(self.words):
            raise ValueError(
                f"counterfactuals say {list(self.words)}; needed two or more distinct words"
            )

    def of(self, prompt: str, token: SpecialToken) -> tuple[str, ...]:
        """Put each word before the subject, with the article that it needs.

        Returns
        -------
        tuple of str
            One prompt a word, in their order.
        """
        place = token.subject_at(prompt)
        return tuple(
            _with_fitting_article(prompt[:place], word) + f"{word} {prompt[place:]}"
            for word in self.words
        )


def _with_fitting_article(head: str, word: str) -> str:
    """Let "an" before an auditor become "a" before a female auditor."""
    found = re.search(r"\b(an?)(\s+)$", head, flags=re.IGNORECASE)
    if found is None:
        return head
    article = with_article(word).split()[0]
    if found[1][0].isupper():
        article = article.capitalize()
    return head[: found.start()] + article + found[2]
