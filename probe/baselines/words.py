"""Methods that change the words of open prompts, and the look-up that finds these prompts."""

import re
from collections.abc import Sequence

from probe.baselines.method import BASELINES, Material, Method
from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts
from probe.text.lexicon import Lexicon
from probe.text.templates import with_article

SIDES = ("female", "male")
PHRASE = ", diverse genders"


class Lookup:
    """The look-up table of methods without a gate.

    A prompt is *open* if it names an occupation of the lexicon, of any split, and contains none
    of its gendered words (pairs and adjectives). Names, pronouns and paraphrases are not found.
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

    The draws of methods with different names are independent.
    """
    bits = (
        int(hash_parts(name, prompt, str(seed))[:8], 16)
        for prompt, seed in zip(prompts, seeds, strict=True)
    )
    return [SIDES[bit % 2] for bit in bits]


class ExplicitMixing(Intervention):
    """State a gender in every open prompt, drawn for each image.

    An oracle: it knows which prompts are neutral ones about people, and which words state a gender.
    What it leaves is explicit prompts that the model does not follow, which no text-side method can
    correct.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a side for every image of an open prompt."""
        sides = draw_sides(prompts, seeds, name="explicit-mixing")
        is_open = self._lookup.is_open
        return [
            Condition(self._lookup.explicit(prompt, side) if is_open(prompt) else prompt)
            for prompt, side in zip(prompts, sides, strict=True)
        ]


class PromptIntervention(Intervention):
    """Append `PHRASE` to open prompts.

    Bansal, Yin, Monajatipoor, Chang, *How well can Text-to-Image Generative Models understand
    Ethical Natural Language Interventions?*, EMNLP 2022, section 3. The phrase, and that other
    prompts are not changed, is our choice.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Append the phrase to open prompts."""
        return [
            Condition(prompt + PHRASE if self._lookup.is_open(prompt) else prompt)
            for prompt in prompts
        ]


@BASELINES.register("explicit-mixing")
def explicit_mixing(material: Material) -> Method:
    """State a gender in open prompts: the oracle."""
    return Method(ExplicitMixing(Lookup(material.lexicon)), words="images", oracle="words")


@BASELINES.register("prompt-intervention")
def prompt_intervention(material: Material) -> Method:
    """Append a phrase to open prompts; nothing is learned."""
    return Method(PromptIntervention(Lookup(material.lexicon)), words="none", oracle="prompts")
