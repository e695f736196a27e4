"""The oracle: ask for a woman in half of the pictures, and for a man in the other half."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from probe.baselines.lookup import SIDES, Lookup
from probe.baselines.method import Material, Method
from probe.images.intervention import Condition, Intervention


class ExplicitMixing(Intervention):
    """Say a gender in every open prompt, a woman and a man in turn.

    It is an oracle, because it knows which prompts are neutral ones about people and which words
    say a gender to the model. What it leaves is what no text-side method can undo: explicit prompts
    that the model does not obey. The turns are exact, so an obedient model scores 0 and not the
    noise floor, which is that of independent pictures.

    Parameters
    ----------
    lookup : Lookup
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Take turns within each open prompt, in the order of the pictures."""
        asked: Counter[str] = Counter()
        result = []
        for prompt in prompts:
            said = prompt
            if self._lookup.is_open(prompt):
                said = self._lookup.explicit(prompt, SIDES[asked[prompt] % 2])
            asked[prompt] += 1
            result.append(Condition(said))
        return result


def build(material: Material) -> Method:
    """Take the lexicon's words; nothing is learnt."""
    return Method(ExplicitMixing(Lookup(material.lexicon)))
