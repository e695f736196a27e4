"""The words of a caption that mention a person, and why others do not."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from probe.text.captions.vocabulary import FUNCTION_WORDS, CaptionWords, Word

REASONS = {
    "phrase": "of a phrase about nobody",  # burger king
    "name": "of a name or title",  # Iron Man
    "thing": "about a thing",  # passenger train
    "sense": "in another sense",  # a pitcher of lemonade
    "group": "a quantity",  # a couple of chairs
    "animal": "of an animal",  # a dog with his ball
}
"""Why a word does not count."""

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")  # "man-made" is one word
_QUOTED = re.compile('"[^"]{1,80}"|\u201c[^\u201d]{1,80}\u201d')
_OWNING = frozenset(("its", "it's", "his", "her", "their"))
_REACH = 4
_KINDS = frozenset(("running", "walking", "hiking", "swimming", "training", "evening", "wedding"))
"""Words in -ing before shoes and clothes, which are no verbs."""


class Mention(NamedTuple):
    """A word for a person in a caption."""

    place: int
    """Index of the word among the words of the caption."""
    token: str
    """The word in lower case."""
    word: Word
    reason: str
    """One of `REASONS`, or empty if it counts."""


class Text:
    """A caption or prompt and its words.

    Words in double (or curly) quotation marks are spoken or written in the image; they are left
    out, unless there are no others.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        plain = text.replace("\u2019", "'")
        outside = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), plain)
        matches = list(_WORD.finditer(outside)) or list(_WORD.finditer(plain))
        self.spans = [match.span() for match in matches]
        self.words = [match[0] for match in matches]
        """As written, but for apostrophes."""
        self.lower = [word.lower() for word in self.words]

    def at(self, place: int) -> str:
        """The word at a place in lower case; empty outside of the text."""
        return self.lower[place] if 0 <= place < len(self.lower) else ""

    def gap(self, place: int) -> str:
        """The text between a word and the next, or the end."""
        end = self.spans[place + 1][0] if place + 1 < len(self.spans) else len(self.text)
        return self.text[self.spans[place][1] : end]

    def next(self, place: int) -> str:
        """The next word of the same clause; empty before a punctuation mark or the end."""
        return "" if self.gap(place).strip() else self.at(place + 1)

    def is_capital(self, place: int) -> bool:
        """Whether there is a word at a place that begins with a capital."""
        return 0 <= place < len(self.words) and self.words[place][0].isupper()

    def is_cased(self) -> bool:
        """Whether a capital letter marks a name: not in headlines, nor in all capitals."""
        long = [word for word in self.words if len(word) > 3]
        return bool(long) and sum(word[0].isupper() for word in long) <= len(long) / 2


def mentions(text: Text, words: CaptionWords) -> list[Mention]:
    """Find the words of a text that may be about a person, and decide whether each is."""
    tokens = text.lower
    places = [place for place, token in enumerate(tokens) if token in words.known]
    if not places:
        return []
    reasons = _reasons_of_nouns(text, places, words)
    animals = [place for place in range(len(tokens)) if _is_animal(tokens, place, words)]
    if animals:
        _assign_to_animals(tokens, places, reasons, animals, words)
    return [Mention(p, tokens[p], words.known[tokens[p]], reasons.get(p, "")) for p in places]


def phrases_in(
    tokens: list[str], phrases: Mapping[str, tuple[tuple[str, ...], ...]]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (place, phrase) of each phrase among the tokens."""
    for place, token in enumerate(tokens):
        for phrase in phrases.get(token, ()):
            if tuple(tokens[place : place + len(phrase)]) == phrase:
                yield place, phrase


def _reasons_of_nouns(text: Text, places: list[int], words: CaptionWords) -> dict[int, str]:
    tokens = text.lower
    reasons = {
        place: "phrase"
        for first, phrase in phrases_in(tokens, words.phrases)
        for place in range(first, first + len(phrase))
    }
    is_cased = text.is_cased()
    for place in places:
        if place in reasons:
            continue
        token = tokens[place]
        if is_cased and _is_name(text, place, words):
            reasons[place] = "name"
        elif token in words.context["collectives"] and text.at(place + 1) == "of":
            reasons[place] = "group"
        elif _is_of_thing(tokens, place, words):
            reasons[place] = "thing"
        elif (sense := words.senses.get(token)) and not sense.holds(tokens, place):
            reasons[place] = "sense"
    return reasons


def _is_name(text: Text, place: int, words: CaptionWords) -> bool:
    """Whether a word is part of a name, and not the title before a person's."""
    if not place or not text.is_capital(place):
        return False
    is_after_capital = place > 1 and text.is_capital(place - 1)
    return is_after_capital or (
        text.is_capital(place + 1) and text.at(place) not in words.context["titles"]
    )


def _is_of_thing(tokens: list[str], place: int, words: CaptionWords) -> bool:
    """Whether the next noun is a thing: "passenger train", "men's black running shoes"."""
    token = tokens[place]
    things = words.attributive.get(token)
    if not things:
        return False
    reach = _REACH if token.endswith(("s'", "'s")) else 1
    for step, following in enumerate(tokens[place + 1 : place + 1 + reach]):
        if following in things:
            return True
        is_verb = step > 0 and following.endswith("ing") and following not in _KINDS
        if is_verb or following in FUNCTION_WORDS:  # "children's hands holding books"
            return False
    return False


def _is_animal(tokens: list[str], place: int, words: CaptionWords) -> bool:
    if tokens[place].removesuffix("'s") not in words.context["animals"]:
        return False
    if place and tokens[place - 1] in words.context["not_animals_after"]:
        return False
    around = tokens[max(0, place - 1) : place + _REACH]
    return not any(start <= min(1, place) for start, _ in phrases_in(around, words.phrases))


def _assign_to_animals(
    tokens: list[str],
    places: list[int],
    reasons: dict[int, str],
    animals: list[int],
    words: CaptionWords,
) -> None:
    """Give kin and pronouns that belong to an animal the reason "animal"."""
    known = [(place, words.known[tokens[place]]) for place in places if place not in reasons]
    is_sure = any(not word.is_pronoun and not word.of_animals_too for _, word in known)
    is_pet = {at: tokens[at].removesuffix("'s") in words.context["pets"] for at in animals}
    is_animal_alone = not is_sure and not all(is_pet.values())
    for place, word in known:
        is_kin = word.of_animals_too and _is_kin_of_animal(tokens, place, is_pet, words)
        if is_kin or (word.of_animals_too and is_animal_alone):
            reasons[place] = "animal"
    people = [(p, w) for p, w in known if p not in reasons and not w.is_pronoun]
    first = min([*animals, *(place for place, reason in reasons.items() if reason == "animal")])
    for place, word in known:
        owners = (p for p, other in people if other.group in ("neutral", word.group))
        if word.is_pronoun and first < place and not any(p < place for p in owners):
            reasons[place] = "animal"


def _is_kin_of_animal(
    tokens: list[str], place: int, is_pet: dict[int, bool], words: CaptionWords
) -> bool:
    """Whether a word stands beside an animal; beside a pet, only if nobody else owns it."""
    for direction in (1, -1):  # a mother and her small giraffe, a giraffe and its mother
        for at in range(place + direction, place + direction * (_REACH + 1), direction):
            if at in is_pet:
                between = tokens[min(place, at) + 1 : max(place, at)]
                is_owned = not _OWNING.isdisjoint(between)
                joins = "and" not in between if direction == 1 else is_owned
                return not is_pet[at] or not between or joins
            if not 0 <= at < len(tokens) or tokens[at] not in words.context["steps"]:
                break
    return False
