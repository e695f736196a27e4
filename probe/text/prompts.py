"""Prompts built from templates and a lexicon or concept, with their group, subject and pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.arrays import Indices, Mask
from probe.errors import DataError
from probe.io.artifacts import hash_parts
from probe.text.lexicon import SPLITS as SPLITS_OF_LEXICON
from probe.text.lexicon import Lexicon
from probe.text.templates import fill

if TYPE_CHECKING:
    from probe.text.concepts import Concept

GROUPS = ("neutral", "female", "male", "object", "given")
SPLITS = (*SPLITS_OF_LEXICON, "")
COLUMNS = (
    "prompt", "group", "subject", "template", "pair", "split", "template_split", "share_women"
)  # fmt: skip
CONCEPT_COLUMNS = ("prompt", "concept", "group", "word", "pair", "template", "target")


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts, one a row, with their construction."""

    table: pd.DataFrame
    """Columns: ``prompt``; ``group``, one of `GROUPS` (``"given"``: a user's, of unknown gender);
    ``subject``; ``template``; ``pair``, an integer that a male prompt shares with its female
    counterfactual, -1 for all others; ``split`` of the subject and ``template_split``, each one of
    `SPLITS` (``""`` if it is not of a lexicon); ``share_women`` of the subject, from 0 to 1 (NaN if
    unknown). Others may follow.
    """

    def __post_init__(self) -> None:
        if missing := [name for name in COLUMNS if name not in self.table.columns]:
            raise DataError(f"a prompt table needs the columns {list(COLUMNS)}; missing {missing}")
        for column, allowed in (("group", GROUPS), ("split", SPLITS), ("template_split", SPLITS)):
            if unknown := sorted(set(self.table[column]) - set(allowed)):
                raise DataError(f"column {column!r} holds {unknown}; needed one of {allowed}")
        for prompt in self.table["prompt"]:
            check_prompt(prompt)

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def build(cls, lexicon: Lexicon) -> PromptSet:
        """Put every occupation and object of a lexicon into the templates of its split and of test.

        Male and female prompts come as pairs that are equal but for gender.
        """
        table = pd.DataFrame(_rows(lexicon), columns=list(COLUMNS))
        return cls(table.astype({"pair": "int64", "share_women": "float64"}))

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of the table."""
        return [str(prompt) for prompt in self.table["prompt"]]

    @property
    def is_training(self) -> Mask:
        """Which prompts training may read, shape (n_prompts,): subject and template are for it."""
        return self.are_of("train")

    def are_of(self, *splits: str) -> Mask:
        """Which prompts have subject and template of some splits, shape (n_prompts,)."""
        result: Mask = self.table[["split", "template_split"]].isin(splits).all(axis=1).to_numpy()
        return result

    @property
    def measured(self) -> PromptSet:
        """The prompts by which occupations are compared: all of them in the test templates."""
        return self.take((self.table["template_split"] == "test").to_numpy())

    def take(self, rows: Mask | Indices) -> PromptSet:
        """Keep the prompts of a mask or at some positions."""
        return PromptSet(self.table.iloc[np.arange(len(self))[rows]].reset_index(drop=True))

    @property
    def nouns(self) -> tuple[str, ...]:
        """The occupations, each once."""
        is_person = ~self.table["group"].isin(("object", "given"))
        return tuple(dict.fromkeys(self.table.loc[is_person, "subject"]))

    @property
    def hash(self) -> str:
        """Hash of the prompts and their columns."""
        return hash_parts(self.table[list(COLUMNS)].to_csv(index=False, lineterminator="\n"))

    def select(
        self,
        *,
        group: str | Sequence[str] | None = None,
        split: str | Sequence[str] | None = None,
        subject: str | Sequence[str] | None = None,
    ) -> PromptSet:
        """Keep the rows that match every condition; the order stays.

        Raises
        ------
        ValueError
            If a condition names an unknown group, split or subject.
        """
        subjects = tuple(dict.fromkeys(self.table["subject"]))
        keep = np.ones(len(self), dtype=bool)
        for column, wanted, known in (
            ("group", group, GROUPS),
            ("split", split, SPLITS),
            ("subject", subject, subjects),
        ):
            if wanted is None:
                continue
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"{column} {unknown} is not there; choose from {list(known)}")
            keep &= self.table[column].isin(values).to_numpy()
        return self.take(keep)

    def pairs(self) -> tuple[Indices, Indices]:
        """Find the prompts that differ in gender alone.

        Returns
        -------
        male_rows, female_rows : ndarray of shape (n_pairs,)
            Positions in the table; entry i of both belongs to the same pair.

        Raises
        ------
        DataError
            If there is no pair, or a prompt has no counterfactual.
        """
        ids = self.table["pair"].to_numpy()
        group = self.table["group"].to_numpy()
        male, female = (np.flatnonzero((group == name) & (ids >= 0)) for name in ("male", "female"))
        male, female = male[np.argsort(ids[male])], female[np.argsort(ids[female])]
        if not len(male) or not np.array_equal(ids[male], ids[female]):
            raise DataError(
                f"found {len(male)} male and {len(female)} female prompts that do not pair up; "
                "needed one of each for every pair: select both groups"
            )
        return male, female


@dataclass(frozen=True, eq=False)
class ConceptPrompts:
    """Prompts of a concept, one a row, with their construction."""

    table: pd.DataFrame
    """Columns: ``prompt``; ``concept``; ``group``, one of the concept's or ``"neutral"``;
    ``word`` of the group (``""`` if neutral); ``pair``, an integer that a prompt shares with its
    counterfactual of the other group, -1 for all others; ``template``; ``target`` (``""`` if it has
    none); and ``share_GROUP`` of the target for each group, from 0 to 1, NaN where it is not known.
    """
    concept: Concept

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def build(cls, concept: Concept) -> ConceptPrompts:
        """Put every word and target of a concept into every template that fits.

        Raises
        ------
        DataError
            If two rows are the same prompt, which would have two groups.
        """
        table = pd.DataFrame(_concept_rows(concept), columns=list(CONCEPT_COLUMNS))
        for prompt in table["prompt"]:
            check_prompt(prompt)
        if (again := table["prompt"].duplicated()).any():
            raise DataError(
                f"concept {concept.name!r} gives the prompt {table['prompt'][again].iloc[0]!r} "
                "twice; change its words or templates"
            )
        for group in concept.groups:
            shares = {name: known.get(group, np.nan) for name, known in concept.targets.items()}
            table[f"share_{group}"] = table["target"].map(shares).astype("float64")
        return cls(table, concept)

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of the table."""
        return [str(prompt) for prompt in self.table["prompt"]]

    def groups(self) -> dict[str, Indices]:
        """Indices of each group, in the concept's order; neutral prompts are in none."""
        found = self.table["group"].to_numpy()
        return {group: np.flatnonzero(found == group) for group in self.concept.groups}

    def pairs(self) -> tuple[Indices, Indices]:
        """Find the prompts that differ in the concept alone.

        Entry i of both arrays, of shape (n_pairs,), is of the same pair.
        """
        if not self.concept.pairs:
            raise DataError(
                f"concept {self.concept.name!r} has no pairs; add pairs to {self.concept.source}, "
                "or use an estimator that needs groups only"
            )
        ids = self.table["pair"].to_numpy()
        is_first = self.table["word"].isin([first for first, _ in self.concept.pairs]).to_numpy()
        first, second = (np.flatnonzero((ids >= 0) & side) for side in (is_first, ~is_first))
        return first[np.argsort(ids[first])], second[np.argsort(ids[second])]

    def targets(self) -> dict[str, Indices]:
        """Neutral rows of each target."""
        is_neutral = self.table["group"].to_numpy() == "neutral"
        found = self.table["target"].to_numpy()
        return {name: np.flatnonzero(is_neutral & (found == name)) for name in self.concept.targets}


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse a string in place of a list of prompts, and prompts that `check_prompt` refuses."""
    check_no_string("prompts", prompts)
    for prompt in prompts:
        check_prompt(prompt)


def check_no_string(name: str, texts: Sequence[str]) -> None:
    """Refuse a string in place of a list of strings: it would be read as a list of its letters."""
    if isinstance(texts, str):
        raise DataError(
            f"{name} is the string {texts!r}; needed a list of strings: give [{texts!r}]"
        )


def check_prompt(text: object) -> None:
    """Refuse what is no string, is empty, holds a NUL byte or is no valid Unicode."""
    if not isinstance(text, str):
        raise DataError(f"a prompt is a {type(text).__name__}; needed a string")
    if not text.strip():
        raise DataError("a prompt is empty; needed at least one word: leave the line out")
    if "\0" in text:
        raise DataError(f"prompt {text[:60]!r} holds a NUL byte; needed plain text: remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"prompt {text[:60]!a} is no valid Unicode; read its file as UTF-8"
        ) from error


def _rows(lexicon: Lexicon) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of `COLUMNS`."""
    pair = 0
    for job in lexicon.occupations:
        for of in dict.fromkeys((job.split, "test")):
            known = (job.split, of, job.share_women)
            templates = lexicon.templates[of]
            neutral = {text: lexicon.prompt(text, job.name) for text in templates.neutral}
            for template, prompt in neutral.items():
                yield prompt, "neutral", job.name, template, -1, *known
            for template in templates.explicit:
                for male, female in lexicon.explicit_prompts(template, job.name):
                    if male in neutral.values():  # the generic masculine, which no male form pairs
                        yield female, "female", job.name, template, -1, *known
                        continue
                    yield male, "male", job.name, template, pair, *known
                    yield female, "female", job.name, template, pair, *known
                    pair += 1
    for split, things in lexicon.objects.items():
        for thing in things:
            for of in dict.fromkeys((split, "test")):
                for template in lexicon.templates[of].neutral:
                    prompt = lexicon.prompt(template, thing)
                    yield prompt, "object", thing, template, -1, split, of, float("nan")


def _concept_rows(concept: Concept) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of `CONCEPT_COLUMNS`."""
    n_pairs = 0
    for template in concept.templates:
        names = [*concept.targets] if "{target}" in template else [""]
        for name in names:
            if "{word}" not in template:
                prompt = fill(template, target=name)
                yield prompt, concept.name, "neutral", "", -1, template, name
                continue
            pair_of: dict[str, int] = {}
            for pair in concept.pairs:
                pair_of |= dict.fromkeys(pair, n_pairs)
                n_pairs += 1
            for group, words in concept.groups.items():
                for word in words:
                    prompt = fill(template, word=word, target=name)
                    yield prompt, concept.name, group, word, pair_of.get(word, -1), template, name
