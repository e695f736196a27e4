"""Read a prompt by its words: which occupation it names, and whether it says a gender itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from probe.io.artifacts import hash_parts
from probe.text.lexicon import Lexicon
from probe.text.templates import with_article

SIDES = ("female", "male")


class Lookup:
    """The look-up table of methods that are told when to act.

    A prompt is *open* if it names an occupation of the lexicon and no gendered word of it. That is
    what such a table can know: a name, a pronoun or a paraphrase passes unseen.

    Parameters
    ----------
    lexicon : Lexicon
        Occupations are known by name, held out or not; gendered words are its pairs and adjectives.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        words = (*lexicon.pairs, *lexicon.adjectives)
        self._gendered = _any_of([word for pair in words for word in (pair.male, pair.female)])
        # the longest name first, so that "construction worker" is not found as "worker"
        names = sorted((job.name for job in lexicon.occupations), key=len, reverse=True)
        self._occupation = re.compile(rf"\b(?:an?\s+)?({'|'.join(map(re.escape, names))})\b", re.I)
        pair = lexicon.pairs[0]
        self._person = {"female": pair.female, "male": pair.male}

    def is_open(self, prompt: str) -> bool:
        """Tell whether a prompt names an occupation and says no gender."""
        return bool(self._occupation.search(prompt)) and not self._gendered.search(prompt)

    def explicit(self, prompt: str, side: str) -> str:
        """Say a gender in an open prompt: "a nurse" becomes "a woman working as a nurse"."""
        person = with_article(self._person[side])

        def say(found: re.Match[str]) -> str:
            return f"{person} working as {with_article(found[1])}"

        return self._occupation.sub(say, prompt, count=1)


def draw_sides(prompts: Sequence[str], seeds: Sequence[int], *, name: str) -> list[str]:
    """Draw one of `SIDES` for each picture with equal chances, by its seed alone.

    Parameters
    ----------
    prompts, seeds : sequence
        As `Intervention.conditions` takes them.
    name : str
        Of the method: draws of different methods are independent, and none repeats the noise's.
    """
    bits = (
        int(hash_parts(name, prompt, str(seed))[:8], 16)
        for prompt, seed in zip(prompts, seeds, strict=True)
    )
    return [SIDES[bit % 2] for bit in bits]


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
