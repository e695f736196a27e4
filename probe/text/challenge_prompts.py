"""Prompts of known kind, built from templates and words of a TOML file, to test the gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from probe.io.toml_tables import TomlTable
from probe.text.prompts import PromptSet
from probe.text.templates import fill, slots_of

_FOLDER = Path(__file__).parent.parent / "data" / "gate"
CHALLENGE = _FOLDER / "challenge.toml"
"""Prompts to test a gate on; nothing is fitted to them."""
FRESH = _FOLDER / "fresh.toml"
"""A second such file, written after lessons and settings were chosen, but before the word
lists; see `CHALLENGES`."""
BLIND = _FOLDER / "blind.toml"
"""A third, by an author who knew neither the gate nor the lists nor the other files."""
CHALLENGES = {"seen": CHALLENGE, "fresh": FRESH, "blind": BLIND}
"""By what the builders of the gate knew: the first was looked at while lessons and settings were
chosen, the second while the word lists were, so that scores on both are too good; the last was
evaluated when both were final."""
LESSONS = _FOLDER / "lessons.toml"
"""Prompts that a gate is trained on, in addition to those of the lexicon."""

KINDS = ("explicit", "person", "neutral")
"""``explicit`` says a gender; ``person`` mentions a person without one; ``neutral`` mentions
nobody."""
GENDERS = ("male", "female")
COLUMNS = ("prompt", "category", "is_hard", "kind", "gender", "subject", "split", "template")
LEVEL_COLUMNS = ("prompt", "level", "gender", "subject", "split")

Subjects = Mapping[str, Sequence[str]]
"""Occupations by split, ``trained`` or ``held_out``."""

_STEP = 5  # shift of the words of a slot from one template to the next


@dataclass(frozen=True)
class PromptTemplates:
    """Templates of prompts, with the words for their slots.

    A template with a ``{subject}`` is filled with every occupation, or with every n-th; its other
    slots take their words in turn. ``{other}`` is another occupation. A template without a subject
    takes every word of its first slot. ``explicit`` templates are filled once for each gender, with
    the words of that gender.
    """

    path: Path
    words: Mapping[str, Mapping[str, Sequence[str]]]
    """By gender, or ``any``, then by slot."""
    categories: Sequence[Mapping[str, Any]]
    levels: Sequence[Mapping[str, Any]]
    """Each a ``name`` and templates, those of both genders or those for ``any``."""

    @classmethod
    def load(cls, path: Path = CHALLENGE) -> PromptTemplates:
        """Read and check a file.

        Raises
        ------
        DataError
            If it cannot be read, a kind is unknown, or a slot has no words.
        """
        file = TomlTable.read(path, "prompt templates")
        words, levels = file.data.get("words", {}), file.data.get("level", [])
        found = cls(path, words, file.data.get("category", []), levels)
        for category in file.tables("category"):
            category.string("name")
            for wording in category.tables("prompts"):
                kind, templates = wording.one_of("kind", KINDS), wording.strings("templates")
                for gender in _genders(kind):
                    known = {"subject", "other", *found._words(gender)}
                    for slot in (slot for text in templates for slot in slots_of(text)):
                        if slot not in known:
                            raise wording.wrong(
                                "templates",
                                f"has the slot {slot!r}",
                                f"words for it in [words.{gender}]",
                            )
        return found

    def prompts(self, subjects: Subjects, *, split: str, every: int = 1) -> pd.DataFrame:
        """Build the distinct prompts of all categories.

        Parameters
        ----------
        subjects : mapping from split to sequence of str
            Occupations, see `subjects_by_split`.
        split : str
            Split of the occupations, where a category does not name one.
        every : int, default=1
            Fill a template with every n-th occupation; each template begins with another one.

        Returns
        -------
        DataFrame
            `COLUMNS`; ``gender`` is empty where the prompt says no gender.
        """
        rows = []
        for category in self.categories:
            of = category.get("subjects", split)
            for wording in category["prompts"]:
                for side in _genders(wording["kind"]):
                    for turn, template in enumerate(wording["templates"]):
                        for subject, prompt in self._filled(
                            template, side, subjects.get(of, ()), turn, every
                        ):
                            rows.append(
                                (
                                    *(prompt, category["name"], category.get("hard", False)),
                                    *(wording["kind"], side if side in GENDERS else ""),
                                    *(subject, of, template),
                                )
                            )
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.drop_duplicates("prompt", ignore_index=True)

    def by_level(self, subjects: Subjects) -> pd.DataFrame:
        """Build prompts that say the gender more and more clearly, for every occupation.

        Returns
        -------
        DataFrame
            `LEVEL_COLUMNS`, in the order of the levels.
        """
        rows = [
            (fill(template, subject=subject), level["name"], gender, subject, split)
            for level in self.levels
            for gender in ("", *GENDERS)
            for template in level.get(gender or "any", ())
            for split, names in subjects.items()
            for subject in names
        ]
        return pd.DataFrame(rows, columns=list(LEVEL_COLUMNS))

    def _words(self, side: str) -> dict[str, Sequence[str]]:
        return {**self.words.get("any", {}), **self.words.get(side, {})}

    def _filled(
        self, template: str, side: str, subjects: Sequence[str], turn: int, every: int
    ) -> Iterator[tuple[str, str]]:
        """Yield (subject, prompt); the subject is empty where the template has none."""
        words, slots = self._words(side), slots_of(template)

        def taken(at: int, but: tuple[str, ...]) -> dict[str, str]:
            return {
                slot: words[slot][(at + _STEP * turn) % len(words[slot])]
                for slot in slots
                if slot not in but
            }

        if "subject" in slots:
            for at in range(turn % every, len(subjects), every):
                chosen = taken(at, but=("subject", "other"))
                chosen["other"] = subjects[(at + 1 + turn) % len(subjects)]
                yield subjects[at], fill(template, subject=subjects[at], **chosen)
        elif slots:
            for at, word in enumerate(words[slots[0]]):
                yield "", fill(template, **{**taken(at, but=()), slots[0]: word})
        else:
            yield "", template


def subjects_by_split(prompts: PromptSet) -> dict[str, list[str]]:
    """List the occupations of a prompt set."""
    table = prompts.table
    return {
        split: table.loc[table["split"] == split, "subject"].unique().tolist()
        for split in ("trained", "held_out")
    }


def _genders(kind: str) -> tuple[str, ...]:
    return GENDERS if kind == "explicit" else ("any",)
