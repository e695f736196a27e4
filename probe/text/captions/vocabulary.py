"""The shipped word lists of captions and prompts: people, genders, given names and grammar."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from probe.text.templates import english

GENDERS = ("male", "female")

_FOLDER = Path(__file__).parent.parent.parent / "data"
_CAPTIONS = _FOLDER / "captions.toml"
_GENDER = _FOLDER / "gender_words.toml"
_NAMES = [_FOLDER / "names" / f"{gender}.txt" for gender in GENDERS]  # NOTICE.md has their source
FILES = (_CAPTIONS, _GENDER, *_NAMES)
"""Files that decide which words mention a person or state a gender."""

_SHORT_TITLES = ("mr", "mrs", "ms", "mx", "dr")
_UNFOLDED = str.maketrans(
    {"ø": "o", "ł": "l", "ß": "ss", "\u0131": "i", "đ": "d", "ð": "d", "æ": "ae", "þ": "th"}
)

Phrases = Mapping[str, tuple[tuple[str, ...], ...]]
"""First token of a phrase -> the phrases that begin with it."""


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
        endings = {f"-{following[-n:]}" for n in (2, 3)} if len(following) > 4 else set()
        return (
            last in self.after
            or not self.before.isdisjoint({following} | endings)
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
    phrases: Phrases
    """Phrases that mean no person: "man made"."""
    context: Mapping[str, frozenset[str]]
    """Other lists of ``[context]`` in captions.toml: titles, animals, ..."""

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> CaptionWords:
        """Read the shipped lists."""
        data = _read(_CAPTIONS)
        people, context = data["people"], data["context"]
        fields = ("after", "before", "not_before", "beside")
        senses = {
            word: Sense(*(frozenset(entry.get(field, ())) for field in fields))
            for entry in data["sense"]
            for word in entry["words"]
        }
        known = dict.fromkeys((*people["always"].split(), *senses), Word("neutral"))
        animals_too = Word("neutral", of_animals_too=True)
        known |= dict.fromkeys(people["of_animals_too"].split(), animals_too)
        for pair in data["pair"]:
            for gender, other in zip(GENDERS, reversed(GENDERS), strict=True):
                forms = [*pair[gender], *pair.get(f"{gender}_too", [])]
                known |= _forms(gender, forms, pair | {"swapped": pair[other]})
        for entry in data["one_way"]:
            known |= _forms(entry["gender"], entry["words"], entry)
        for gender in GENDERS:
            known |= dict.fromkeys(data["pronouns"][gender], Word(gender, is_pronoun=True))
        return CaptionWords(
            known=known | {f"{word}'s": meaning for word, meaning in known.items()},
            senses=senses | {f"{word}'s": sense for word, sense in senses.items()},
            attributive=_attributive({}, data["attributive"], "things"),
            phrases=_phrases(context["phrases"]),
            context={
                name: frozenset(text.split()) for name, text in context.items() if name != "phrases"
            },
        )


@dataclass(frozen=True)
class GenderWords:
    """Words by which a prompt says a gender; every key is in lower case and without accents."""

    captions: CaptionWords
    """Those of captions, with further nouns."""
    titles: Mapping[str, str]
    """Title -> gender."""
    hints: Mapping[str, str]
    """Word for a person's looks -> the gender that mostly has them."""
    names: Mapping[str, str]
    """Given name -> gender."""
    wide: frozenset[str]
    """Names of the longer lists alone: they count only with a capital, and not where they could be
    places."""
    caution: Mapping[str, frozenset[str]]
    """The lists of ``[caution]`` in gender_words.toml: when a name is not a person's."""
    nobody: Phrases
    """Phrases for an empty scene."""
    givers: frozenset[str]
    """Capitalised words that may precede a given name: titles and other names."""
    is_whole: bool = True
    """False without some nouns: then a prompt without a word for a person may still show one."""

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> GenderWords:
        """Read the shipped lists."""
        data, shipped = _read(_GENDER), CaptionWords.load()
        caution = data["caution"]
        nouns = {noun: Word(gender) for noun, gender in _by_gender(data["nouns"]).items()}
        nouns |= {f"{noun}'s": word for noun, word in nouns.items()}
        titles = {fold(title): gender for title, gender in _by_gender(data["titles"]).items()}
        all_titles = shipped.context["titles"].union(titles, _SHORT_TITLES)
        names: dict[str, str] = {}
        for entry in data["given_names"]:
            names |= {fold(name): gender for name, gender in _by_gender(entry).items()}
        texts = [path.read_text("utf-8") for path in _NAMES]
        wide = _by_gender(dict(zip(GENDERS, texts, strict=True)))
        wide = {name: gender for name, gender in wide.items() if name not in names}
        return GenderWords(
            captions=replace(
                shipped,
                known=nouns | dict(shipped.known),
                attributive=_attributive(shipped.attributive, data["things"], "next"),
                context={**shipped.context, "titles": all_titles},
            ),
            titles=titles,
            hints=_by_gender(data["hints"]),
            names={name: of for name, of in (names | wide).items() if name not in shipped.known},
            wide=frozenset(wide),
            caution={
                name: frozenset(map(fold, text.split()))
                for name, text in caution.items()
                if name != "nobody"
            },
            nobody=_phrases(caution["nobody"]),
            givers=all_titles | names.keys(),
        )

    @staticmethod
    @lru_cache(maxsize=8)
    def without_nouns(nouns: tuple[str, ...]) -> GenderWords:
        """Read the shipped lists without the words of some nouns, in any form."""
        words = {word for noun in nouns for word in noun.lower().split()}
        words |= {english().plural(word) for word in words} if words else set()
        without = GenderWords.load().without([*words, *(f"{word}'s" for word in words)])
        return replace(without, is_whole=not words)

    def without(self, words: Iterable[str]) -> GenderWords:
        """The same lists without some names and nouns."""
        hidden = set(map(fold, words))
        known = {word: of for word, of in self.captions.known.items() if word not in hidden}
        names = {name: gender for name, gender in self.names.items() if name not in hidden}
        return replace(self, captions=replace(self.captions, known=known), names=names)


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """A word in lower case and without accents: "José" becomes "jose"."""
    bare = unicodedata.normalize("NFKD", word.lower().translate(_UNFOLDED))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


GRAMMAR = {
    name: frozenset(words.split()) for name, words in _read(_FOLDER / "grammar.toml").items()
}
"""Word lists of the rules of grammar."""

FUNCTION_WORDS = GRAMMAR["function_words"]
"""Words that end a noun phrase."""


def _forms(group: str, forms: list[str], entry: Mapping[str, Any]) -> dict[str, Word]:
    """The forms of a word: singular, plural, and those of its synonyms."""
    swapped, neutral = (entry.get(key, ["", ""]) for key in ("swapped", "neutral"))
    marks = {key: entry.get(key, False) for key in ("of_animals_too", "is_adjective_too")}
    return {
        form: Word(
            group,
            swapped=swapped[place % 2],
            neutral=neutral[place % 2],
            neutral_plural=neutral[1],
            **marks,
        )
        for place, form in enumerate(forms)
    }


def _attributive(
    known: Mapping[str, frozenset[str]], entries: list[dict[str, str]], key: str
) -> dict[str, frozenset[str]]:
    """Add entries to the things that words describe."""
    found = dict(known)
    for entry in entries:
        for word in entry["words"].split():
            found[word] = found.get(word, frozenset()) | frozenset(entry[key].split())
    return found


def _by_gender(lists: Mapping[str, str]) -> dict[str, str]:
    """Word -> gender, of a list for each gender."""
    return {word: gender for gender in GENDERS for word in lists[gender].split()}


def _phrases(text: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Phrases that are separated by commas, by their first token."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in text.split(","):
        if tokens := tuple(phrase.split()):
            found[tokens[0]] = (*found.get(tokens[0], ()), tokens)
    return found
