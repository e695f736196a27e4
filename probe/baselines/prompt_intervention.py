"""Ask for diversity in the words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from probe.baselines import BASELINES
from probe.baselines.lookup import Lookup
from probe.baselines.method import Material, Method
from probe.images.intervention import Condition, Intervention

PHRASE = ", diverse genders"


class PromptIntervention(Intervention):
    """Append a phrase to open prompts.

    References
    ----------
    Bansal, Yin, Monajatipoor, Chang, *How well can Text-to-Image Generative Models understand
    Ethical Natural Language Interventions?*, EMNLP 2022, section 3: a natural-language
    intervention is appended to a neutral prompt. The phrase, and that other prompts are not
    changed, is our choice.
    """

    def __init__(self, lookup: Lookup, *, phrase: str = PHRASE) -> None:
        self._lookup, self._phrase = lookup, phrase

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Append the phrase to open prompts."""
        return [
            Condition(prompt + self._phrase if self._lookup.is_open(prompt) else prompt)
            for prompt in prompts
        ]


@BASELINES.register("prompt-intervention")
def build(material: Material) -> Method:
    """Use the lexicon's words; nothing is learned."""
    return Method(PromptIntervention(Lookup(material.lexicon)))
