"""Methods that change the words of open prompts, and the look-up that finds these prompts."""

import re
from collections.abc import Sequence
from itertools import product

from probe.baselines.method import BASELINES, Material, Method
from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts
from probe.text.attributes import AND, GENDER, Attribute, cells_of
from probe.text.lexicon import Lexicon
from probe.text.templates import with_article

SIDES = ("female", "male")


class Lookup:
    """The look-up table of methods without a gate.

    A prompt is *open* if it names an occupation of the lexicon, of any split, and contains no word
    of the corrected attributes; those of gender are the lexicon's (pairs and adjectives). Names,
    pronouns and paraphrases are not found.
    """

    def __init__(self, lexicon: Lexicon, attributes: Sequence[Attribute] = (GENDER,)) -> None:
        self.attributes = attributes
        cells = product(*(of.values for of in attributes))
        self.values = dict(zip(cells_of(attributes).values, cells, strict=True))
        """What an image can be drawn, and its value of each attribute."""
        words = (*lexicon.pairs, *lexicon.adjectives)
        gendered = "|".join(re.escape(word) for pair in words for word in (pair.male, pair.female))
        self._gendered = re.compile(rf"\b(?:{gendered})\b", re.IGNORECASE)
        # the longest name first, so that "construction worker" is not found as "worker"
        names = sorted((job.name for job in lexicon.occupations), key=len, reverse=True)
        self._occupation = re.compile(rf"\b(?:an?\s+)?({'|'.join(map(re.escape, names))})\b", re.I)
        pair = lexicon.pairs[0]
        self._person = {"female": pair.female, "male": pair.male}

    def is_open(self, prompt: str) -> bool:
        """Whether a prompt names an occupation and states no value of the attributes."""
        return bool(self._occupation.search(prompt)) and not any(
            self._gendered.search(prompt) if of.name == GENDER.name else of.is_stated(prompt)
            for of in self.attributes
        )

    def explicit(self, prompt: str, value: str) -> str:
        """State a value in an open prompt: "a nurse" becomes "a woman working as a nurse"."""
        noun, words = "person", list[str]()
        for of, one in zip(self.attributes, self.values[value], strict=True):
            if of.name == GENDER.name:
                noun = self._person[one]
            else:
                words.insert(0, of.values[one][0])
        person = with_article(" ".join([*words, noun]))

        def rewrite(found: re.Match[str]) -> str:
            return f"{person} working as {with_article(found[1])}"

        return self._occupation.sub(rewrite, prompt, count=1)


def draw_values(
    prompts: Sequence[str], seeds: Sequence[int], *, name: str, values: Sequence[str] = SIDES
) -> list[str]:
    """Draw one of some values for each image with equal probability, from its seed.

    The draws of methods with different names are independent.
    """
    bits = (
        int(hash_parts(name, prompt, str(seed))[:8], 16)
        for prompt, seed in zip(prompts, seeds, strict=True)
    )
    return [values[bit % len(values)] for bit in bits]


class ExplicitMixing(Intervention):
    """State a value in every open prompt, drawn for each image.

    An oracle: it knows which prompts are neutral ones about people, and which words state a value.
    What it leaves is explicit prompts that the model does not follow, which no text-side method can
    correct.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a value for every image of an open prompt."""
        look = self._lookup
        values = draw_values(prompts, seeds, name="explicit-mixing", values=[*look.values])
        return [
            Condition(look.explicit(prompt, value) if look.is_open(prompt) else prompt)
            for prompt, value in zip(prompts, values, strict=True)
        ]


class PromptIntervention(Intervention):
    """Append ", diverse genders" to open prompts, or the names of other attributes.

    Bansal, Yin, Monajatipoor, Chang, *How well can Text-to-Image Generative Models understand
    Ethical Natural Language Interventions?*, EMNLP 2022, section 3. The phrase, and that other
    prompts are not changed, is our choice.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        names = AND.join(f"{of.name.replace('_', ' ')}s" for of in lookup.attributes)
        self._phrase = f", diverse {names}"

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Append the phrase to open prompts."""
        return [
            Condition(prompt + self._phrase if self._lookup.is_open(prompt) else prompt)
            for prompt in prompts
        ]


@BASELINES.register("explicit-mixing")
def explicit_mixing(material: Material) -> Method:
    """State a value in open prompts: the oracle."""
    return Method(
        ExplicitMixing(Lookup(material.lexicon, material.attributes)),
        words="images",
        oracle="words",
    )


@BASELINES.register("prompt-intervention")
def prompt_intervention(material: Material) -> Method:
    """Append a phrase to open prompts; nothing is learned."""
    method = PromptIntervention(Lookup(material.lexicon, material.attributes))
    return Method(method, words="none", oracle="prompts")
