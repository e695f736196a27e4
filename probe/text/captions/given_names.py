"""Given names and titles in a prompt, and when a name is not a person's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probe.text.captions.gender_words import GenderWords, fold
from probe.text.captions.grammar import FUNCTION_WORDS
from probe.text.captions.mentions import is_cased
from probe.text.captions.tokenization import spans_of, words_of

_REACH = 3
_AFTER_FIRST = frozenset(("is", "was", "has", "who", "the"))
"""Words after a first word that make it a name: "Mark is", "Rose who"."""


@dataclass(frozen=True)
class Written:
    """A prompt and its words."""

    prompt: str
    words: list[str]
    """As written."""
    tokens: list[str]
    """In lower case and without accents."""
    is_cased: bool
    """Whether a capital marks a name."""

    @classmethod
    def read(cls, prompt: str) -> Written:
        """Split a prompt into words."""
        words = words_of(prompt)
        return cls(prompt, words, [fold(word) for word in words], is_cased(words))

    def is_followed_by_comma(self, place: int) -> bool:
        """Whether a comma follows a word."""
        end = spans_of(self.prompt)[place][1]
        return self.prompt[end : end + 1] == ","

    def begins_with_name(self) -> bool:
        """Whether the first word is a name: a comma or one of a few words follows."""
        return self.is_followed_by_comma(0) or (
            len(self.tokens) > 1 and self.tokens[1] in _AFTER_FIRST
        )


def titles_and_names(written: Written, lists: GenderWords) -> Iterator[tuple[int, str, str]]:
    """Yield place, gender and reason of each title and name.

    The reason, of `probe.text.captions.gender.GenderReading`, is empty for a person's name.
    """
    words, tokens = written.words, written.tokens
    for place, token in enumerate(tokens):
        if token in lists.titles:
            if place + 1 < len(words) and words[place + 1][0].isupper():
                yield place, lists.titles[token], ""
        elif gender := lists.names.get(token):
            yield place, gender, _reason(written, place, lists)
        elif gender := lists.names.get(token.removesuffix("'s")):
            is_thing = tokens[place - 1] in lists.before if place else False
            yield place, gender, "thing" if is_thing or owns_thing(words, place, lists) else ""


def unknown_names(written: Written, lists: GenderWords) -> Iterator[str]:
    """Yield the words that only their capital makes look like names."""
    if not written.is_cased:
        return
    tokens = written.tokens
    for place, (word, token) in enumerate(zip(written.words, tokens, strict=True)):
        is_capital = word[0].isupper() and not word.isupper()
        if not is_capital or not (place or written.begins_with_name()):
            continue
        is_place = place > 0 and tokens[place - 1] in lists.after_place | lists.before
        is_listed = token.removesuffix("'s") in lists.names or token in lists.titles
        is_word = word.lower() in lists.captions.known or token in lists.after
        if not (is_place or is_listed or is_word):
            yield word


def owns_thing(words: list[str], place: int, lists: GenderWords) -> bool:
    """Whether a word in 's only names the owner of a thing: "a woman's hat".

    "A woman's face" and "Ida's first day as a judge" show her, and "she's a nurse" and "the man's
    in red" own nothing.
    """
    following = [word.lower() for word in words[place + 1 : place + 1 + _REACH]]
    for step, word in enumerate(following):
        if word in FUNCTION_WORDS:
            return step > 0 and word != "as"
        if word in lists.body or word in lists.captions.known:
            return False
    return True


def _reason(written: Written, place: int, lists: GenderWords) -> str:
    """Reason why a name is not a person's; empty if it is."""
    words, tokens = written.words, written.tokens
    token, last = tokens[place], tokens[place - 1] if place else ""
    end = place + 1
    while end < len(words) and words[end][0].isupper() and tokens[end] not in lists.after:
        end += 1  # Martin Luther King Street
    following = tokens[end] if end < len(tokens) else ""
    if last in lists.before or following in lists.after or tokens[end - 1].endswith("'s"):
        return "thing"
    is_wide = token in lists.wide
    if (is_wide or token in lists.places) and last in lists.after_place:
        return "place"
    is_capital = written.is_cased and words[place][0].isupper()
    if is_wide and not is_capital:
        return "word"
    if token in lists.words and not (is_capital and (place or written.begins_with_name())):
        return "word"
    if _is_author(written, place, lists):
        return "author"
    is_surname = place > 1 and is_capital and words[place - 1][0].isupper()
    is_given = last in lists.givers or last in lists.captions.known  # "our CEO Daniel"
    return "surname" if is_surname and not is_given else ""


def _is_author(written: Written, place: int, lists: GenderWords) -> bool:
    """Whether a name is the artist's: "art by", "a nurse, by", "style of"."""
    words, tokens, first = written.words, written.tokens, place
    while first and words[first - 1][0].isupper():
        first -= 1  # Greg in "by Greg Rutkowski"
    if first < 2 or tokens[first - 1] not in ("by", "of"):
        return False
    if tokens[first - 1] == "of":
        return tokens[first - 2] in ("style", "manner")
    return tokens[first - 2] in lists.works or written.is_followed_by_comma(first - 2)
