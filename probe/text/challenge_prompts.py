"""Prompts of known kind, built from shipped templates and words, to train and to test the gate."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from probe.text.lexicon import SPLITS
from probe.text.prompts import PromptSet
from probe.text.templates import fill, slots_of

_FOLDER = Path(__file__).parent.parent / "data" / "gate"
CHALLENGE = _FOLDER / "challenge.toml"
CHALLENGES = {
    "seen": CHALLENGE,
    "fresh": _FOLDER / "fresh.toml",
    "blind": _FOLDER / "blind.toml",
}
"""Prompts to test a gate on, by what its builders knew; nothing is fitted to them. They looked at
the first while they chose lessons and settings, and at the second while they wrote the word lists,
so that scores on both are too good. The author of the last knew neither the gate nor the lists nor
the other files, and it was evaluated when both were final."""
LESSONS = _FOLDER / "lessons.toml"
"""Prompts that a gate is trained on, in addition to those of the lexicon."""

KINDS = ("explicit", "person", "neutral")
"""``explicit`` says a gender; ``person`` mentions a person without one; ``neutral`` mentions
nobody."""
GENDERS = ("male", "female")
COLUMNS = ("prompt", "category", "is_hard", "kind", "gender", "subject", "split", "template")
LEVEL_COLUMNS = ("prompt", "level", "gender", "subject", "split")

Subjects = Mapping[str, Sequence[str]]
"""Occupations by split."""

_STEP = 5  # shift of the words of a slot from one template to the next


@dataclass(frozen=True)
class PromptTemplates:
    """Templates of prompts, with the words for their slots.

    A template with a ``{subject}`` is filled with every occupation, or with every n-th; its other
    slots take their words in turn. ``{other}`` is another occupation. A template without a subject
    takes every word of its first slot. ``explicit`` templates are filled once for each gender, with
    the words of that gender.
    """

    words: Mapping[str, Mapping[str, Sequence[str]]]
    """By gender, or ``any``, then by slot."""
    categories: Sequence[Mapping[str, Any]]
    levels: Sequence[Mapping[str, Any]]
    """Each a ``name`` and templates, those of both genders or those for ``any``."""

    @classmethod
    def load(cls, path: Path = CHALLENGE) -> PromptTemplates:
        """Read one of the shipped files."""
        data = tomllib.loads(path.read_text("utf-8"))
        return cls(data["words"], data["category"], data.get("level", []))

    def prompts(self, subjects: Subjects, *, split: str, every: int = 1) -> pd.DataFrame:
        """Build a table of `COLUMNS`, the distinct prompts of all categories.

        ``split`` is the split of the occupations where a category does not name one. A template is
        filled with ``every`` n-th occupation; each begins with another one.
        """
        rows = []
        for category in self.categories:
            name, is_hard = category["name"], category.get("hard", False)
            of = category.get("subjects", split)
            for wording in category["prompts"]:
                kind, templates = wording["kind"], wording["templates"]
                for gender in GENDERS if kind == "explicit" else ("",):
                    for turn, template in enumerate(templates):
                        chosen = self._filled(template, gender, subjects.get(of, ()), turn, every)
                        for subject, prompt in chosen:
                            row = (prompt, name, is_hard, kind, gender, subject, of, template)
                            rows.append(row)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.drop_duplicates("prompt", ignore_index=True)

    def by_level(self, subjects: Subjects) -> pd.DataFrame:
        """Build a table of `LEVEL_COLUMNS`: prompts that say the gender more and more clearly."""
        rows = [
            (fill(template, subject=subject), level["name"], gender, subject, split)
            for level in self.levels
            for gender in ("", *GENDERS)
            for template in level.get(gender or "any", ())
            for split, names in subjects.items()
            for subject in names
        ]
        return pd.DataFrame(rows, columns=list(LEVEL_COLUMNS))

    def _filled(
        self, template: str, gender: str, subjects: Sequence[str], turn: int, every: int
    ) -> Iterator[tuple[str, str]]:
        """Yield (subject, prompt); the subject is empty where the template has none."""
        words = {**self.words.get("any", {}), **self.words.get(gender, {})}
        slots = slots_of(template)
        others = [slot for slot in slots if slot not in ("subject", "other")]

        def in_turn(at: int) -> dict[str, str]:
            return {slot: words[slot][(at + _STEP * turn) % len(words[slot])] for slot in others}

        if "subject" in slots:
            for at in range(turn % every, len(subjects), every):
                other = subjects[(at + 1 + turn) % len(subjects)]
                yield subjects[at], fill(template, **in_turn(at), subject=subjects[at], other=other)
        elif slots:
            for at, word in enumerate(words[slots[0]]):
                yield "", fill(template, **in_turn(at) | {slots[0]: word})
        else:
            yield "", template


def subjects_by_split(prompts: PromptSet) -> dict[str, list[str]]:
    """List the occupations of a prompt set."""
    return {split: list(prompts.select(split=split).nouns) for split in SPLITS}
