"""Look up which occupation a prompt names, and whether it states a gender."""

from __future__ import annotations

import re
from collections.abc import Sequence

from probe.io.artifacts import hash_parts
from probe.text.lexicon import Lexicon
from probe.text.templates import with_article

SIDES = ("female", "male")


class Lookup:
    """The look-up table of methods without a gate.

    A prompt is *open* if it names an occupation of the lexicon and contains no gendered word of it.
    Names, pronouns and paraphrases are not recognised.

    Parameters
    ----------
    lexicon : Lexicon
        Occupations, held out or not; the gendered words are its pairs and adjectives.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        words = (*lexicon.pairs, *lexicon.adjectives)
        gendered = "|".join(re.escape(word) for pair in words for word in (pair.male, pair.female))
        self._gendered = re.compile(rf"\b(?:{gendered})\b", re.IGNORECASE)
        # the longest name first, so that "construction worker" is not found as "worker"
        names = sorted((job.name for job in lexicon.occupations), key=len, reverse=True)
        self._occupation = re.compile(rf"\b(?:an?\s+)?({'|'.join(map(re.escape, names))})\b", re.I)
        pair = lexicon.pairs[0]
        self._person = {"female": pair.female, "male": pair.male}

    def is_open(self, prompt: str) -> bool:
        """Whether a prompt names an occupation and states no gender."""
        return bool(self._occupation.search(prompt)) and not self._gendered.search(prompt)

    def explicit(self, prompt: str, side: str) -> str:
        """State a gender in an open prompt: "a nurse" becomes "a woman working as a nurse"."""
        person = with_article(self._person[side])

        def rewrite(found: re.Match[str]) -> str:
            return f"{person} working as {with_article(found[1])}"

        return self._occupation.sub(rewrite, prompt, count=1)


def draw_sides(prompts: Sequence[str], seeds: Sequence[int], *, name: str) -> list[str]:
    """Draw one of `SIDES` for each image with equal probability, from its seed.

    Parameters
    ----------
    prompts, seeds : sequence
        As `Intervention.conditions` takes them.
    name : str
        Of the method; the draws of different methods are independent.
    """
    bits = (
        int(hash_parts(name, prompt, str(seed))[:8], 16)
        for prompt, seed in zip(prompts, seeds, strict=True)
    )
    return [SIDES[bit % 2] for bit in bits]
