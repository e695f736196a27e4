"""Lists of words that say a gender: nouns, titles, looks and given names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from probe.text.captions.vocabulary import CaptionWords, Word, by_first, read_words

DEFAULT = Path(__file__).parent.parent.parent / "data" / "gender_words.toml"
"""The shipped lists, in addition to those of captions."""
WIDE = DEFAULT.parent / "names"
"""More given names, one file a gender; NOTICE.md there states how they were chosen."""

GENDERS = ("male", "female")

_SHORT = ("mr", "mrs", "ms", "mx", "dr")
_UNFOLDED = str.maketrans(
    {"ø": "o", "ł": "l", "ß": "ss", "\u0131": "i", "đ": "d", "ð": "d", "æ": "ae", "þ": "th"}
)


@dataclass(frozen=True)
class GenderWords:
    """Lists of words that say a gender; every key is in lower case and without accents."""

    captions: CaptionWords
    """Those of captions, with further nouns."""
    titles: Mapping[str, str]
    """Title -> gender."""
    hints: Mapping[str, str]
    """Word for a person's looks -> the gender that mostly has them."""
    names: Mapping[str, str]
    """Given name -> gender."""
    wide: frozenset[str]
    """Those of `names` that are known from `WIDE` alone: they count only with a capital, and not
    where they could be places."""
    words: frozenset[str]
    """Names that are words too."""
    places: frozenset[str]
    """Names that are places too."""
    after_place: frozenset[str]
    before: frozenset[str]
    after: frozenset[str]
    body: frozenset[str]
    """Parts of the body, which show their owner: "a woman's face"."""
    works: frozenset[str]
    """Words before "by" and an author: "painted by Greta"."""
    nobody: Mapping[str, tuple[tuple[str, ...], ...]]
    """First token -> phrases for an empty scene."""
    givers: frozenset[str]
    """Capitalised words that may precede a given name: titles and other names."""

    @classmethod
    def load(cls, path: Path | None = None) -> GenderWords:
        """Read and check a file of lists; the shipped one if no path is given.

        Raises
        ------
        DataError
            If it cannot be read, a list is missing, or a name is in the lists of both genders.
        """
        return _shipped() if path is None else _read(Path(path))

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


@lru_cache(maxsize=1)
def _shipped() -> GenderWords:
    return _read(DEFAULT)


def _read(path: Path) -> GenderWords:
    return read_words(path, _build, shipped=DEFAULT)


def _build(data: Mapping[str, Any]) -> GenderWords:
    shipped = CaptionWords.load()
    nouns = {noun: Word(gender) for gender in GENDERS for noun in data["nouns"][gender].split()}
    nouns |= {f"{noun}'s": word for noun, word in nouns.items()}
    attributive = dict(shipped.attributive)
    for entry in data["things"]:
        for word in entry["words"].split():
            things = frozenset(entry["next"].split())
            attributive[word] = attributive.get(word, frozenset()) | things
    names: dict[str, str] = {}
    for entry in data["given_names"]:
        for gender in GENDERS:
            for name in map(fold, entry[gender].split()):
                if names.setdefault(name, gender) != gender:
                    raise ValueError(f"{name!r} is in the lists of both genders; leave it out")
    wide = {
        name: gender
        for gender in GENDERS
        for name in (WIDE / f"{gender}.txt").read_text("utf-8").split()
        if name not in names
    }
    titles = {fold(t): gender for gender in GENDERS for t in data["titles"][gender].split()}
    caution = data["caution"]
    lists = ("words", "places", "after_place", "before", "after", "body", "works")
    return GenderWords(
        captions=replace(
            shipped,
            known={**nouns, **shipped.known},
            attributive=attributive,
            titles=frozenset((*shipped.titles, *titles, *_SHORT)),
        ),
        titles=titles,
        hints={word: of for of in GENDERS for word in data["hints"][of].split()},
        names={name: of for name, of in (names | wide).items() if name not in shipped.known},
        wide=frozenset(wide),
        nobody=by_first(caution["nobody"].split(",")),
        givers=frozenset((*titles, *shipped.titles, *_SHORT, *names)),
        **{name: frozenset(map(fold, caution[name].split())) for name in lists},
    )
