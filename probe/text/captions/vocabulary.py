"""The words that decide the category of a caption, read from TOML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from probe.errors import DataError
from probe.io.toml_tables import TomlTable

T = TypeVar("T")

DEFAULT = Path(__file__).parent.parent.parent / "data" / "captions.toml"
"""The words that are shipped with the package."""

GROUPS = ("male", "female", "neutral")

_SETS = ("collectives", "not_animals_after", "steps", "titles")

_OTHER = {"male": "female", "female": "male"}


@dataclass(frozen=True)
class Word:
    """A word for a person, in one of its forms."""

    group: str
    """``"male"``, ``"female"``, or ``"neutral"`` if it says no gender."""
    is_pronoun: bool = False
    of_animals_too: bool = False
    """True for kin, the young and "male", which may be an animal's."""
    is_adjective_too: bool = False
    swapped: str = ""
    """The form of the other gender, or empty."""
    neutral: str = ""
    """The form without a gender, or empty."""
    neutral_plural: str = ""
    """The same of several; equal to ``neutral`` for a word that is a plural itself."""


@dataclass(frozen=True)
class Sense:
    """The neighbours that make an ambiguous word a person; one kind of neighbour is enough.

    With only ``not_before``, the word is a person unless one of those follows.
    """

    after: frozenset[str]
    before: frozenset[str]
    """Words, ``""`` for the end of the caption, and endings such as ``"-ing"``."""
    not_before: frozenset[str]
    beside: frozenset[str]
    """Words anywhere in the caption."""

    def holds(self, tokens: list[str], place: int) -> bool:
        """Whether the word at a place is a person there."""
        last = tokens[place - 1] if place else ""
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if following in self.not_before:
            return False
        if not (self.after or self.before or self.beside):
            return True
        return (
            last in self.after
            or following in self.before
            or ("-" + following[-3:] in self.before and len(following) > 4)
            or ("-" + following[-2:] in self.before and len(following) > 4)
            or not self.beside.isdisjoint(tokens)
        )


@dataclass(frozen=True)
class CaptionWords:
    """The words that decide the category of a caption; every key is a token in lower case."""

    known: Mapping[str, Word]
    """Every form of every word for a person, with and without ``'s``."""
    senses: Mapping[str, Sense]
    attributive: Mapping[str, frozenset[str]]
    """Word of a person -> things that it describes when they follow it: "passenger" -> "train"."""
    phrases: Mapping[str, tuple[tuple[str, ...], ...]]
    """First token -> phrases that mean no person: "man made"."""
    collectives: frozenset[str]
    animals: frozenset[str]
    pets: frozenset[str]
    not_animals_after: frozenset[str]
    steps: frozenset[str]
    """Words between an animal and its kin or young: "a giraffe and her baby"."""
    titles: frozenset[str]
    """Words before a person's name: "Queen Victoria"."""

    @classmethod
    def load(cls, path: Path | None = None) -> CaptionWords:
        """Read and check a file of words; the shipped one if no path is given.

        Raises
        ------
        DataError
            If the file cannot be read or an entry is wrong; the message names it.
        """
        return _shipped() if path is None else _read(Path(path))


@lru_cache(maxsize=1)
def _shipped() -> CaptionWords:
    return _read(DEFAULT)


def _read(path: Path) -> CaptionWords:
    return read_words(path, _build, shipped=DEFAULT)


def read_words(path: Path, build: Callable[[Mapping[str, Any]], T], *, shipped: Path) -> T:
    """Read a TOML file of words and build the look-up from it.

    Raises
    ------
    DataError
        If the file cannot be read or an entry is wrong; the message names the shipped file to
        compare it with.
    """
    data = TomlTable.read(path, "words").data
    try:
        return build(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: {error} is missing or has another form; compare it with {shipped}"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: {error}; correct the file") from error


def _build(data: Mapping[str, Any]) -> CaptionWords:
    known: dict[str, Word] = {}
    senses: dict[str, Sense] = {}
    attributive: dict[str, frozenset[str]] = {}
    people, context = data["people"], data["context"]
    for entry in data["sense"]:
        names = ("after", "before", "not_before", "beside")
        sense = Sense(**{name: frozenset(entry.get(name, ())) for name in names})
        senses |= dict.fromkeys(entry["words"], sense)
    known |= dict.fromkeys((*people["always"].split(), *senses), Word("neutral"))
    animals_too = Word("neutral", of_animals_too=True)
    known |= dict.fromkeys(people["of_animals_too"].split(), animals_too)
    for pair in data["pair"]:
        known |= _forms_of_pair(pair)
    for entry in data["one_way"]:
        known |= _forms_of_word(entry)
    for group in ("male", "female"):
        known |= dict.fromkeys(data["pronouns"][group], Word(group, is_pronoun=True))
    for entry in data["attributive"]:
        things = frozenset(entry["things"].split())
        for word in entry["words"].split():
            attributive[word] = attributive.get(word, frozenset()) | things
    known |= {f"{word}'s": meaning for word, meaning in known.items()}
    return CaptionWords(
        known=known,
        senses=senses | {f"{word}'s": sense for word, sense in senses.items()},
        attributive=attributive,
        phrases=by_first(context["phrases"].split(",")),
        animals=_with_possessive(context["animals"].split()),
        pets=_with_possessive(context["pets"].split()),
        **{name: frozenset(context[name].split()) for name in _SETS},
    )


def _forms_of_pair(pair: Mapping[str, Any]) -> dict[str, Word]:
    known: dict[str, Word] = {}
    marks = {name: pair.get(name, False) for name in ("of_animals_too", "is_adjective_too")}
    neutral = _forms(pair["neutral"], pair)
    if len(neutral) != 2:
        raise ValueError(f"a pair has the neutral forms {neutral}; needed singular and plural")
    for group, other in _OTHER.items():
        swapped = _forms(pair[other], pair)
        forms = [*_forms(pair[group], pair), *_forms(pair.get(f"{group}_too", []), pair)]
        for place, form in enumerate(forms):
            known[form] = Word(
                group,
                swapped=swapped[place % 2],
                neutral=neutral[place % 2],
                neutral_plural=neutral[1],
                **marks,
            )
    return known


def _forms_of_word(entry: Mapping[str, Any]) -> dict[str, Word]:
    if entry["gender"] not in _OTHER:
        raise ValueError(
            f"{entry['words']} has the gender {entry['gender']!r}; needed male or female"
        )
    swapped = _forms(entry.get("swapped", ["", ""]), entry)
    neutral = _forms(entry.get("neutral", ["", ""]), entry)
    return {
        form: Word(
            entry["gender"],
            swapped=swapped[place],
            neutral=neutral[place],
            neutral_plural=neutral[1],
        )
        for place, form in enumerate(_forms(entry["words"], entry))
    }


def _forms(forms: Any, entry: object) -> list[str]:
    if not isinstance(forms, list) or len(forms) % 2:
        raise ValueError(f"{entry} has the forms {forms!r}; needed singular, plural, ...")
    return forms


def by_first(phrases: Iterable[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Phrases by their first token."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in phrases:
        if tokens := tuple(phrase.split()):
            found[tokens[0]] = (*found.get(tokens[0], ()), tokens)
    return found


def _with_possessive(words: Iterable[str]) -> frozenset[str]:
    words = list(words)
    return frozenset([*words, *(f"{word}'s" for word in words)])
