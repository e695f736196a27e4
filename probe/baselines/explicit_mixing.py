"""The oracle: half of the images of a prompt ask for a woman, the other half for a man."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from probe.baselines import BASELINES
from probe.baselines.lookup import SIDES, Lookup
from probe.baselines.method import Material, Method
from probe.images.intervention import Condition, Intervention


class ExplicitMixing(Intervention):
    """Alternate a woman and a man in every open prompt.

    An oracle: it knows which prompts are neutral ones about people, and which words state a gender.
    What it leaves is explicit prompts that the model does not follow, which no text-side method can
    correct. The alternation is exact, so that a perfect model scores 0 rather than the noise floor.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Alternate within each open prompt, in the order of the images."""
        seen: Counter[str] = Counter()
        result = []
        for prompt in prompts:
            text = prompt
            if self._lookup.is_open(prompt):
                text = self._lookup.explicit(prompt, SIDES[seen[prompt] % 2])
            seen[prompt] += 1
            result.append(Condition(text))
        return result


@BASELINES.register("explicit-mixing")
def build(material: Material) -> Method:
    """Use the lexicon's words; nothing is learned."""
    return Method(ExplicitMixing(Lookup(material.lexicon)))
