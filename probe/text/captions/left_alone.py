"""Prompts that no gate should decide about: they are not understood, or mean one known person."""

import re
import unicodedata
from collections.abc import Callable

from probe.text.captions.mentions import Text
from probe.text.captions.vocabulary import FUNCTION_WORDS, GENDERS, GRAMMAR, GenderWords, fold

_FOREIGN = GRAMMAR["foreign_words"]
_ENGLISH = FUNCTION_WORDS - GRAMMAR["shared_words"]
_ARTICLES = GRAMMAR["foreign_articles"]
_PLACES = GRAMMAR["place_articles"]
_TITLE = r"(?:[a-z-]+|[A-Z]{2,})(?<!s)"  # no name, but perhaps an acronym; of one person
_OFFICE = re.compile(
    r"(?:^|\b(\w+) of )("
    rf"[Tt]he (?:[\w-]+ ){{0,2}}{_TITLE} of (?:the )?[A-Z]\w*"
    rf"|[A-Z]\w*'s (?:\w+ )?{_TITLE}(?=[\s.]*(?:$|,)))"
)
"""The word before "of", if any, and "the CEO of Apple" or "Apple's CEO" after it."""


def reason_to_leave(
    prompt: str, is_token: Callable[[str], bool], lists: GenderWords | None = None
) -> str:
    """Say why a prompt is to be left alone; empty if a gate can decide about it.

    The rules, in this order, are our choice:

    1. It has a symbol that shows a gender, by the symbol's Unicode name: an emoji of a woman.
    2. A letter is not Latin, or there are no words.
    3. It has an article or preposition of another language (``foreign_words`` of grammar.toml), and
       no word of our lists that is English alone, or an article that cannot be English. The lists
       hold function words and words for people.
    4. No word is a token of the encoder, and none is in our lists or a given name that we know.
    5. It means one person, by an office: "the CEO of Apple", "a photo of Apple's CEO". The name
       must begin with a capital, and the phrase be what the prompt shows.

    A foreign noun without an article, which the tokenizer knows, is not recognised. ``is_token``
    says whether a word is one token of the encoder, and not the unknown one.

    Examples
    --------
    >>> reason_to_leave("una enfermera", lambda word: True)
    'another language: una'
    >>> reason_to_leave("a photo of the CEO of Apple", lambda word: True)
    'one person: the CEO of Apple'
    """
    text, lists = Text(prompt), GenderWords.load() if lists is None else lists
    known = lists.captions.known
    for symbol in prompt:
        if unicodedata.category(symbol) == "So":
            names = unicodedata.name(symbol, "").lower().split()
            if any(name in known and known[name].group in GENDERS for name in names):
                return f"a symbol that shows a gender: {symbol}"
    if foreign := [word for word in text.words if not all(map(_is_latin, word))]:
        return f"another script: {' '.join(foreign)}"
    if not text.words:
        return "no words" if prompt.strip() else ""
    is_english = any(word in _ENGLISH or word in known for word in text.lower)
    if is_english and _ARTICLES.isdisjoint(text.lower):
        return _person(text)
    if foreign := [word for at, word in enumerate(text.lower) if _is_foreign(text, at, word)]:
        return f"another language: {' '.join(dict.fromkeys(foreign))}"
    bare = [fold(word).removesuffix("'s") for word in text.words]
    is_listed = any(word in FUNCTION_WORDS or word in lists.names for word in bare)
    if not is_listed and not any(map(is_token, text.lower)):
        return f"no word is known to the encoder: {' '.join(text.words)}"
    return _person(text)


def _is_latin(letter: str) -> bool:
    return letter in "'-" or "LATIN" in unicodedata.name(letter, "")


def _is_foreign(text: Text, place: int, word: str) -> bool:
    in_name = word in _PLACES and text.is_capital(place) and text.is_capital(place + 1)
    return word.split("'")[0] in _FOREIGN and not in_name  # un'infermiera


def _person(text: Text) -> str:
    """The phrase for one person that a prompt shows; empty if there is none."""
    works = GenderWords.load().caution["works"]
    for found in _OFFICE.finditer(text.text.replace("\u2019", "'")):
        is_pronoun = found[2].split("'")[0].lower() in FUNCTION_WORDS  # there's, it's
        if (found[1] is None or found[1].lower() in works) and not is_pronoun:
            return f"one person: {found[2]}"
    return ""
