"""The words of an experiment: occupations with labour-market shares, gendered pairs, templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from probe.errors import DataError
from probe.io.files import hash_parts
from probe.io.toml_tables import TomlTable, either, shown
from probe.text.templates import fill, slots_of

DEFAULT = Path(__file__).parent.parent / "data" / "lexicon.toml"
"""The lexicon that is shipped with the package."""
SPLITS = ("train", "validation", "test")
"""Training sees the first; settings are chosen on the second; the third is for the final scores."""
SPLIT_NAMES = {"train": "trained on", "validation": "validation", "test": "never seen"}
"""What tables and figures call the occupations of a split."""
_N_RANGES = 4  # of the shares, from which a random split draws equally


@dataclass(frozen=True)
class Occupation:
    """A person's job and the share of women who hold it."""

    name: str
    """Singular, without an article."""
    share_women: float
    """Women's share of the people in this job, from 0 to 1."""
    split: str
    """One of `SPLITS`."""
    source: str
    """Source of the share."""


@dataclass(frozen=True)
class Pair:
    """Two words that differ in gender alone."""

    male: str
    female: str


@dataclass(frozen=True)
class Templates:
    """The templates of one split."""

    neutral: tuple[str, ...]
    """Without a gender, for occupations and objects."""
    explicit: tuple[str, ...]
    """They say the gender, by a noun or an adjective."""


@dataclass(frozen=True)
class Lexicon:
    """The words and templates that prompts are built from.

    In a template, ``a {slot}`` (or ``an {slot}``) takes the article of its word. Slots are
    ``{subject}`` and, in explicit templates, one of ``{person}`` and ``{adjective}``.
    """

    occupations: tuple[Occupation, ...]
    pairs: tuple[Pair, ...]
    """Nouns for ``{person}``."""
    adjectives: tuple[Pair, ...]
    """Words for ``{adjective}``."""
    templates: Mapping[str, Templates]
    """By split."""
    objects: Mapping[str, tuple[str, ...]]
    """Subjects that are no person, which a correction must not change, by split."""
    test_pool: tuple[str, ...] = ()
    """Occupations that `random_split` may draw for testing; all if empty."""

    @classmethod
    def load(cls, path: Path | None = None) -> Lexicon:
        """Read and check a lexicon; the shipped one if no path is given.

        Raises
        ------
        DataError
            If the file cannot be read or an entry is wrong; the message names it.
        """
        data = TomlTable.read(DEFAULT if path is None else Path(path), "lexicon")
        templates, objects = data.table("templates"), data.table("objects")
        if "neutral" in templates.data:
            needed = either(f"[templates.{split}]" for split in SPLITS)
            raise templates.wrong("neutral", "is of no split", f"it in {needed}")
        lexicon = cls(
            occupations=tuple(map(_occupation, data.tables("occupation"))),
            pairs=tuple(map(pair_of, data.tables("pair"))),
            adjectives=tuple(map(pair_of, data.tables("adjective"))),
            templates={split: _templates(templates.table(split)) for split in SPLITS},
            objects={split: objects.strings(split) for split in SPLITS},
            test_pool=data.strings("test_pool") if "test_pool" in data.data else (),
        )
        jobs = [job.name for job in lexicon.occupations]
        data.distinct("occupation", jobs)
        data.distinct("objects", chain(jobs, *lexicon.objects.values()))
        lists = ((*of.neutral, *of.explicit) for of in lexicon.templates.values())
        data.distinct("templates", chain(*lists))
        if unknown := sorted(set(lexicon.test_pool).difference(jobs)):
            raise data.wrong("test_pool", f"has {unknown[0]!r}", "names of occupations")
        return lexicon

    def occupations_of(self, *splits: str) -> list[str]:
        """Names of the occupations of some splits."""
        return [job.name for job in self.occupations if job.split in splits]

    @property
    def split_of(self) -> dict[str, str]:
        """Split of every occupation and object, by name."""
        of_objects = {name: split for split, names in self.objects.items() for name in names}
        return {job.name: job.split for job in self.occupations} | of_objects

    @property
    def nouns(self) -> tuple[str, ...]:
        """Names of all occupations."""
        return tuple(job.name for job in self.occupations)

    @property
    def stated(self) -> tuple[str, str]:
        """Words that say each gender before a person: female, male."""
        return self.adjectives[0].female, self.adjectives[0].male

    def prompt(self, template: str, subject: str, value: str = "neutral", **words: str) -> str:
        """Fill a template, in the form that says a value where the language has one."""
        return fill(template, subject=subject, **words)

    def neutral_prompt(self, subject: str, split: str) -> str:
        """Put a subject into the first neutral template of a split."""
        return self.prompt(self.templates[split].neutral[0], subject)

    def explicit_prompts(self, template: str, subject: str) -> list[tuple[str, str]]:
        """Fill an explicit template with each pair of words: the male and the female prompt."""
        slots = {"person": self.pairs, "adjective": self.adjectives}
        slot = next((slot for slot in slots if f"{{{slot}}}" in template), "")

        def said(value: str, word: str) -> str:
            return self.prompt(template, subject, value, **{slot: word})

        pairs = slots.get(slot, (Pair("", ""),))
        return [(said("male", pair.male), said("female", pair.female)) for pair in pairs]

    def random_split(self, index: int) -> Lexicon:
        """Draw other occupations for testing and validation, as many as there are.

        Those for testing come from `test_pool`, those for validation from the others; both in
        equal parts from four ranges of the share of women. Templates and objects keep their split.
        The same ``index`` gives the same split on every machine; 0 is the lexicon's own.
        """
        if index == 0:
            return self
        n_wanted = Counter(job.split for job in self.occupations)
        pool = self.test_pool or self.nouns
        split = dict.fromkeys(self.nouns, "train")
        for name, known in (("test", pool), ("validation", self.nouns)):
            free = [of for of in self.occupations if of.name in known and split[of.name] == "train"]
            split |= dict.fromkeys(_drawn(free, n_wanted[name], key=f"{name} {index}"), name)
        jobs = [replace(job, split=split[job.name]) for job in self.occupations]
        return replace(self, occupations=tuple(jobs))


def _drawn(jobs: Sequence[Occupation], n: int, *, key: str) -> list[str]:
    """Draw n occupations, in equal parts from ranges of the share of women."""
    if n > len(jobs):
        raise DataError(
            f"a random split needs {n} occupations to draw but {len(jobs)} may be drawn; name more "
            "of them in test_pool of the lexicon"
        )
    ordered = sorted(jobs, key=lambda job: (job.share_women, job.name))
    ranges = np.array_split(np.arange(len(ordered)), _N_RANGES)
    quotas = [len(part) for part in np.array_split(np.arange(n), _N_RANGES)]
    drawn = []
    for rows, quota in zip(ranges, quotas, strict=True):
        # By hash: no version of a random generator changes the split.
        shuffled = sorted((ordered[row].name for row in rows), key=lambda of: hash_parts(key, of))
        drawn += shuffled[:quota]
    return drawn


def _occupation(entry: TomlTable) -> Occupation:
    if "held_out" in entry.data:
        raise entry.wrong(
            "held_out", "is a setting of older lexicons", f'split = "{either(SPLITS)}" in its place'
        )
    if (split := entry.data.get("split")) not in SPLITS:
        raise entry.wrong("split", shown(split), either(SPLITS))
    return Occupation(
        name=entry.string("name"),
        share_women=entry.number("share_women", 0, 1),
        split=split,
        source=entry.string("source"),
    )


def pair_of(entry: TomlTable) -> Pair:
    """Read the words of a pair, which must differ."""
    pair = Pair(male=entry.string("male"), female=entry.string("female"))
    if pair.male == pair.female:
        raise entry.wrong("female", f"is {pair.male!r}, as male is", "two different words")
    return pair


def _templates(table: TomlTable) -> Templates:
    gendered = ({"subject", "person"}, {"subject", "adjective"})
    neutral = checked_templates(table, "neutral", {"subject"})
    return Templates(neutral, checked_templates(table, "explicit", *gendered))


def checked_templates(table: TomlTable, key: str, *slots: set[str]) -> tuple[str, ...]:
    """Read templates, each with exactly the slots of one of the sets."""
    templates = table.strings(key)
    for index, template in enumerate(templates):
        if set(slots_of(template)) not in slots:
            needed = either(
                " and ".join(f"{{{slot}}}" for slot in sorted(choice)) for choice in slots
            )
            raise table.wrong(f"{key}[{index}]", f"is {template!r}", f"exactly the slots {needed}")
    return templates
