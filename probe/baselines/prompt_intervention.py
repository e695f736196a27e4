"""Ask for diversity in the words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from probe.baselines.lookup import Lookup
from probe.baselines.method import Material, Method
from probe.images.intervention import Condition, Intervention

PHRASE = ", diverse genders"


class PromptIntervention(Intervention):
    """Append a phrase to prompts that name an occupation and say no gender.

    Parameters
    ----------
    lookup : Lookup
    phrase : str

    References
    ----------
    Bansal, Yin, Monajatipoor, Chang, *How well can Text-to-Image Generative Models understand
    Ethical Natural Language Interventions?*, EMNLP 2022, section 3: a natural-language
    intervention is appended to a neutral prompt. The phrase, and that other prompts are left alone,
    is our choice.
    """

    def __init__(self, lookup: Lookup, *, phrase: str = PHRASE) -> None:
        self._lookup, self._phrase = lookup, phrase

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Append the phrase where the look-up says so."""
        return [
            Condition(prompt + self._phrase if self._lookup.is_open(prompt) else prompt)
            for prompt in prompts
        ]


def build(material: Material) -> Method:
    """Take the lexicon's words; nothing is learnt."""
    return Method(PromptIntervention(Lookup(material.lexicon)))
